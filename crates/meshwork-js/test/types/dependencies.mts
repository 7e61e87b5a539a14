// Objects in place of types: what the factories make is what the seed wants, and what implements a seed interface is
// taken as a dependency. No cast anywhere.

import * as meshwork from 'meshwork';
import type * as Seed from './seed/seed.js';

// ---- The package's objects, as the seed's.

export const broker: Seed.IMessageBroker = meshwork.createMessageBroker({ maxQueueSize: 10 });
export const artifacts: Seed.ArtifactStorage = meshwork.createArtifactStorage();
export const logger: Seed.Logger = meshwork.createLogger({ level: 'warn' });
export const memory: Seed.ISwarmMemoryManager = meshwork.createSwarmMemory();
export const controller: Seed.IQueryController = meshwork.createQueryController({
  agents: [{ capabilities: ['review'], agent: async task => task.description }],
});

const all = { messageBus: broker, queryController: controller, artifactStorage: artifacts, swarmMemory: memory, logger };

export const coordinator: Seed.IMeshCoordinator = meshwork.createMeshCoordinator({ swarmId: 's' }, all);
export const discovery: Seed.IPeerDiscoverySystem = meshwork.createPeerDiscoverySystem({}, all);
export const detector: Seed.IDistributedCompletionDetector = meshwork.createDistributedCompletionDetector({}, all);
export const balancer: Seed.IMeshLoadBalancer = meshwork.createMeshLoadBalancer({}, all);
export const router: Seed.ITopologyRouter = meshwork.createTopologyRouter(all);

/** Where the seed's factories are expected, the package's fit. */
export const factories: {
  createMeshCoordinator: typeof Seed.createMeshCoordinator;
  createPeerDiscoverySystem: typeof Seed.createPeerDiscoverySystem;
  createDistributedCompletionDetector: typeof Seed.createDistributedCompletionDetector;
  createMeshLoadBalancer: typeof Seed.createMeshLoadBalancer;
} = meshwork;

// ---- Objects of somebody else, who knows the seed alone.

class TheirBroker implements Seed.IMessageBroker {
  async publish(_topic: string, _message: Seed.Message): Promise<void> {}
  subscribe(_topic: string, _handler: Seed.MessageHandler): void {}
  unsubscribe(_topic: string, _handler: Seed.MessageHandler): void {}
  async sendToPeer(_senderId: string, _recipientId: string, _message: Seed.Message): Promise<void> {}
  async broadcastToMesh(_senderId: string, _neighbors: string[], _message: Seed.Message): Promise<void> {}
  onPeerMessage(_peerId: string, _handler: Seed.MessageHandler): void {}
  onPublish(_peerId: string, _handler: () => void): void {}
  onAcknowledge(_peerId: string, _handler: () => void): void {}
}

class TheirMemory implements Seed.ISwarmMemoryManager {
  async remember(_agentId: string, _type: string, _content: unknown, _metadata?: unknown): Promise<string> {
    return 'id';
  }
  async recall(_query: Seed.SwarmMemoryQuery): Promise<Seed.SwarmMemoryEntry[]> {
    return [];
  }
  async shareMemory(_entryId: string, _targetAgentId: string): Promise<void> {}
  async sharePeerState(_peerId: string, _state: Seed.PeerState): Promise<void> {}
  async queryMeshPeers(_swarmId: string): Promise<Seed.PeerState[]> {
    return [];
  }
  async updatePeerLoad(_peerId: string, _load: number): Promise<void> {}
  async getPeerLoad(_peerId: string): Promise<number | undefined> {
    return undefined;
  }
}

const nothing: Seed.TokenSavings = { saved: 0, total: 0, percentage: 0, pauseDurationMs: 0, activeDurationMs: 0 };

class TheirController implements Seed.IQueryController {
  async pauseAgent(_agentId: string): Promise<void> {}
  async resumeAgent(_agentId: string, _checkpointId?: string): Promise<void> {}
  async pausePeers(_peerIds: string[], _reason?: string): Promise<void> {}
  async resumePeers(_peerIds: string[]): Promise<void> {}
  getTokenSavings(_agentId: string): Seed.TokenSavings {
    return nothing;
  }
  getMeshTokenSavings(_swarmId: string): Seed.TokenSavings {
    return nothing;
  }
}

class TheirArtifacts implements Seed.ArtifactStorage {
  async store(key: string, bytes: Uint8Array) {
    return { key, size: bytes.length };
  }
  async retrieve(_key: string): Promise<Uint8Array> {
    return new Uint8Array();
  }
  async delete(_key: string): Promise<boolean> {
    return false;
  }
  async list(_prefix?: string) {
    return [];
  }
  async stat(_key: string) {
    return undefined;
  }
}

const theirs = {
  messageBus: new TheirBroker(),
  queryController: new TheirController(),
  artifactStorage: new TheirArtifacts(),
  swarmMemory: new TheirMemory(),
  logger: console,
};

export const overTheirs = [
  meshwork.createMeshCoordinator({}, theirs),
  meshwork.createPeerDiscoverySystem({}, theirs),
  meshwork.createDistributedCompletionDetector({ enableCheckpoints: true }, theirs),
  meshwork.createMeshLoadBalancer({}, theirs),
  meshwork.createTopologyRouter(theirs),
];

/** Objects of the package go where somebody's code wants the seed's, and back. */
export async function passedOn(task: meshwork.MeshTask, state: Seed.PeerState): Promise<Seed.PeerInfo | undefined> {
  const seedTask: Seed.MeshTask = task;
  const peer: Seed.PeerAgent | undefined = coordinator.getPeer(await coordinator.assignTaskToPeer(seedTask));
  const own: meshwork.PeerAgent | undefined = peer;
  await meshwork.createSwarmMemory().sharePeerState(own?.id ?? '', state);
  const session: meshwork.AgentSession | undefined = peer?.session;
  return session && discovery.getAllPeers().get(session.agentId);
}

// ---- What does not fit is refused.

class HalfABroker {
  async publish(_topic: string, _message: Seed.Message): Promise<void> {}
}

// @ts-expect-error members are missing
meshwork.createDistributedCompletionDetector({}, { messageBus: new HalfABroker() });
// @ts-expect-error a dependency is missing
meshwork.createMeshCoordinator({}, { messageBus: broker });
// @ts-expect-error no such field
meshwork.createMessageBroker({ maxQueSize: 1 });
// @ts-expect-error not a number
meshwork.createDistributedCompletionDetector({ defaultTimeoutMs: '1' }, { messageBus: broker });
// @ts-expect-error a handler takes a message, not a number
broker.subscribe('a', (message: number) => void message);
// @ts-expect-error a message has a timestamp
broker.publish('a', { type: 'a', payload: 1 });
// @ts-expect-error no such state
export const state: meshwork.AgentState = 'asleep';
