/**
 * meshwork: a swarm of agents as a peer-to-peer mesh over one durable log.
 *
 * The interfaces are those of the seed document ("Phase 6: Mesh Coordination Component Interfaces", sections 1 to 10)
 * under their exact names; what that document leaves open is bound here. Times are whole milliseconds since the epoch,
 * lengths of time are milliseconds, unless a field says otherwise.
 *
 * Everything that fails, fails with an `Error` that has a `code`: see {@link MeshworkError}.
 */

// ---------------------------------------------------------------------------------------------------------------------
// Words that the seed uses and does not define
// ---------------------------------------------------------------------------------------------------------------------

/** What an agent does at the moment. */
export type AgentState =
  | 'idle'
  | 'working'
  | 'waiting'
  | 'helping'
  | 'paused'
  | 'blocked'
  | 'completed'
  | 'error'
  | 'terminated';

/** How coordinators are arranged; `auto` takes what is recommended for the number of agents. */
export type TopologyType = 'mesh' | 'hierarchical' | 'hybrid' | 'auto';

/** Why somebody is paused. Only an `idle` pause leaves the peer eligible: work resumes it. */
export type PauseReason = 'idle' | 'user' | 'budget' | 'rate-limit' | 'shutdown';

/** Takes messages. A message is acknowledged when its handler has finished, or what it promised. */
export type MessageHandler = (message: Message) => void | Promise<void>;

/** The names that the seed's signatures use. */
export type MessageBroker = IMessageBroker;
export type QueryController = IQueryController;
export type SwarmMemoryManager = ISwarmMemoryManager;

/** A session of an agent. */
export interface AgentSession {
  id: string;
  agentId: string;
  /** Of the agent: `function`, unless it says otherwise. */
  kind: string;
  state: AgentState;
  startedAt: number;
  lastActivity: number;
  tokensUsed: number;
  /** The checkpoint that it was restored from, or that was made last. */
  checkpointId?: string;
  pause(reason?: string): Promise<void>;
  resume(checkpointId?: string): Promise<void>;
  cancel(reason?: string): Promise<void>;
  /** Makes a checkpoint, and resolves to its id. */
  checkpoint(): Promise<string>;
  terminate(): Promise<void>;
}

/** How a child of a task ended, or that it has not. */
export interface ChildEnd {
  id: string;
  state: 'pending' | 'completed' | 'failed';
  result?: any;
  error?: string;
}

/**
 * What a function works with beside its task. When its attempt is over, everything here is refused with `AttemptOver`. A
 * promise of these that nobody waits for ends no process when it rejects.
 */
export interface AgentContext {
  task: MeshTask;
  /** The peer that the function works for. */
  peerId: string;
  /** Counts the attempts on the task, from 1. */
  attempt: number;
  /**
   * Aborted when the attempt is to end: its task was cancelled or took longer than its `timeoutMs`, its peer has left, or
   * the coordinator ends. For the mesh it has ended then, and what the function answers later is ignored.
   */
  signal: AbortSignal;
  /** Hands in children of the task, which is not complete before they are; resolves to their ids. */
  submit(tasks: NewTask | NewTask[]): Promise<string[]>;
  /** Waits until these children are closed, all of them when none is named. Meanwhile the peer may do other tasks. */
  wait(ids?: string[]): Promise<ChildEnd[]>;
  /** Says how far the attempt is, for people. */
  progress(text: string): Promise<void>;
  /** Says how many tokens the attempt has spent so far, in total. */
  usage(tokens: Partial<TokenUsage>): Promise<void>;
  /** Sends over the coordinator's message bus, as the peer; without a timestamp, the message has that of now. */
  send(to: string, message: Omit<Message, 'timestamp'> & { timestamp?: number }): Promise<void>;
  /** The coordinator's. */
  artifacts: ArtifactStorage;
}

/**
 * An agent: what it answers, or what that promises, is the task's result, any JSON; `undefined` is none. What it throws
 * fails the task.
 */
export type AgentFunction = (task: MeshTask, context: AgentContext) => unknown;

/** An agent that is an object; one may serve several peers. */
export interface AgentObject {
  run: AgentFunction;
  /** What the agent knows between tasks, as that peer: any JSON. */
  checkpoint?(peerId: string): unknown;
  /** Goes back to that, as that peer. */
  restore?(state: any, peerId: string): void | Promise<void>;
  /**
   * A turn without a task, which an idle peer takes every `wakeIntervalMs`; answers what it cost. One that throws, or takes
   * longer than `wakeTimeoutMs`, is told to the logger as a warning, and what it cost is not known; the next comes when it
   * is due.
   */
  wake?(peerId: string): void | Partial<TokenUsage> | Promise<void | Partial<TokenUsage>>;
  wakeIntervalMs?: number;
  /** How long a wake may take. Default 600,000, as long as clients of language models wait for one answer. */
  wakeTimeoutMs?: number;
  /** Agents of one kind cost about the same. Default `function`. */
  kind?: string;
}

/**
 * An agent that is a program, as in a swarm file: `shell` runs the task's `run` line, `command` this program, with the task
 * as JSON on standard input. What it prints is the result, a failure is an exit code. `MESHWORK_URL` and `MESHWORK_TOKEN`
 * give it the tools of its attempt.
 */
export interface AgentProgram {
  kind: 'shell' | 'command';
  command?: string[];
  /** Default: the current folder. */
  cwd?: string;
  /** Beside the few variables that programs inherit. */
  env?: Record<string, string>;
}

/** An agent. */
export type AgentSpec = AgentFunction | AgentObject | AgentProgram;

/** What agents are made from. */
export interface AgentDefinition {
  /** What it can do. */
  capabilities: string[];
  agent: AgentSpec;
  /** Tasks that it works on at the same time. */
  maxConcurrentTasks?: number;
}

/** An agent to start. */
export interface SpawnAgent extends AgentDefinition {
  /** Its id; one is made up if it is not given. */
  id?: string;
}

/** A point that an agent can be restored to. */
export interface AgentCheckpoint {
  id: string;
  agentId: string;
  createdAt: number;
  tokensUsed: number;
}

/** Tokens that were spent. */
export interface TokenUsage {
  inputTokens: number;
  outputTokens: number;
}

/** What every coordinator counts. */
export interface CoordinatorMetrics {
  totalAgents: number;
  activeAgents: number;
  pausedAgents: number;
  totalTasks: number;
  pendingTasks: number;
  runningTasks: number;
  completedTasks: number;
  failedTasks: number;
  totalTokensUsed: number;
  uptimeMs: number;
}

/** The base of every coordinator. */
export interface ICoordinator {
  /** Starts the peers. Rejects with `NoAgentDefinition` when there is nothing to start them from. */
  initialize(): Promise<void>;
  /** Ends everything; nothing keeps Node alive afterwards. */
  cleanup(): Promise<void>;
  /** Starts an agent, and resolves to its id. */
  spawnAgent(config: SpawnAgent): Promise<string>;
  pauseAgent(agentId: string, reason?: string): Promise<void>;
  resumeAgent(agentId: string, checkpointId?: string): Promise<void>;
  terminateAgent(agentId: string, reason?: string): Promise<void>;
  createCheckpoint(agentId: string): Promise<string>;
  restoreCheckpoint(agentId: string, checkpointId: string): Promise<void>;
  listCheckpoints(agentId: string): Promise<AgentCheckpoint[]>;
  isReady(): boolean;
  getAgentState(agentId: string): AgentState | undefined;
  getAgentSession(agentId: string): AgentSession | undefined;
  getMetrics(): CoordinatorMetrics;
  getActiveAgents(): string[];
  getPausedAgents(): string[];
  updateTokenUsage(agentId: string, usage: TokenUsage): void;
}

/** How a hierarchy is built. */
export interface QueenAgentConfig {
  /** Default 1. */
  minWorkers: number;
  /** Default: `maxAgents` less one. */
  maxWorkers: number;
  /** Children of one agent. Default 7. */
  branching: number;
  autoScale: boolean;
  /** The share of busy workers from which on there are to be more, 0 to 1. Default 0.8. */
  scalingThreshold: number;
}

/** How peers decide together. */
export interface ConsensusConfig {
  protocol: 'quorum' | 'leader';
  /** Votes that are needed; default half of the voters, rounded down, and one. */
  quorumSize?: number;
  /** The share of approvals that is needed, 0 to 1. */
  threshold: number;
  /** Default 30,000. */
  timeoutMs: number;
  /** Default 1. */
  maxRetries: number;
}

/** What a broker may hold, and how long it waits. */
export interface MessageBrokerConfig {
  /** Messages that the mailbox of one peer holds; more wait with their senders. Default 10,000. */
  maxQueueSize: number;
  /** Bytes of one message as JSON. Default 262,144. */
  maxMessageSize: number;
  /** How long one run of a handler may take. Default 30,000. */
  ackTimeoutMs: number;
  /** How often a handler that failed is run again. Default 3. */
  maxRedeliveries: number;
  /** Only `false`: messages to handlers live as long as the process. `true` is refused with `DurableUnsupported`. */
  durable: boolean;
  /** Not of the seed: how long a send waits for room in a full mailbox before `MailboxFull`. Default 5,000. */
  sendTimeoutMs?: number;
}

/** What is known about an artifact. */
export interface ArtifactInfo {
  key: string;
  /** In bytes. */
  size: number;
  /** Names the content. Of the package's own storage: BLAKE3, 64 hexadecimal digits. */
  digest?: string;
  storedAt?: number;
}

/** Named bytes. What `store` has resolved to is durable. */
export interface ArtifactStorage {
  /** Stores `bytes` under `key`, in place of what was there. */
  store(key: string, bytes: Uint8Array): Promise<ArtifactInfo>;
  /** Rejects with the code `NotFound` when there is no such key. */
  retrieve(key: string): Promise<Uint8Array>;
  /** Resolves to whether there was such a key. */
  delete(key: string): Promise<boolean>;
  /** Those whose keys begin with `prefix`, by key. */
  list(prefix?: string): Promise<ArtifactInfo[]>;
  stat(key: string): Promise<ArtifactInfo | undefined>;
}

/** What an entry is about. */
export type SwarmMemoryType = 'knowledge' | 'result' | 'state' | 'communication' | 'error';

/** Who may read an entry: its author alone, the swarm, everybody. */
export type ShareLevel = 'private' | 'team' | 'public';

/** What is said of an entry. The last four are set by the memory, on entries that were shared. */
export interface SwarmMemoryMetadata {
  taskId?: string;
  objectiveId?: string;
  tags?: string[];
  priority?: number;
  /** Default `team`. */
  shareLevel?: ShareLevel;
  originalId?: string;
  sharedFrom?: string;
  sharedTo?: string;
  sharedAt?: number;
}

/** What somebody remembers. */
export interface SwarmMemoryEntry {
  id: string;
  /** Its author. */
  agentId: string;
  type: SwarmMemoryType;
  content: any;
  timestamp: number;
  metadata: SwarmMemoryMetadata;
}

/** Which entries are wanted; all of what is given must hold. Newest first. */
export interface SwarmMemoryQuery {
  agentId?: string;
  type?: SwarmMemoryType;
  taskId?: string;
  objectiveId?: string;
  /** Those with all of these. */
  tags?: string[];
  /** Not older than this. */
  since?: number;
  /** Older than this. */
  before?: number;
  limit?: number;
  shareLevel?: ShareLevel;
  /** Full text: words that all occur in the content or the tags. */
  text?: string;
  /** Who asks: private entries of others are left out. Absent: the operator, who sees all. */
  requesterId?: string;
}

/** Where log lines go. */
export interface Logger {
  debug(message: string, context?: object): void;
  info(message: string, context?: object): void;
  warn(message: string, context?: object): void;
  error(message: string, context?: object): void;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 1: the coordinator
// ---------------------------------------------------------------------------------------------------------------------

/** The coordinator of a mesh. */
export interface IMeshCoordinator extends ICoordinator {
  /**
   * Makes a task durable and finds a peer that has all of its capabilities. Resolves to the peer's id once the
   * assignment is durable. Rejects with `NoCapablePeer`, `DependencyFailed`, `Cancelled`, `Closing`.
   */
  assignTaskToPeer(task: MeshTask): Promise<string>;
  /** Peers that are not paused, not stale and not terminated. */
  getActivePeers(): PeerAgent[];
  getPeer(peerId: string): PeerAgent | undefined;
  /** Peers that have all of these. */
  findPeersByCapabilities(capabilities: string[]): Promise<string[]>;
  /**
   * Resolves to true when all is done. To false after `completionTimeoutMs`, counted from when all work has returned, or
   * when nothing runs and nothing can start; that changes nothing, and a later call may succeed.
   */
  waitForMeshCompletion(): Promise<boolean>;
  /** Moves tasks that have not started from peers with much to peers with little. */
  rebalanceMesh(): Promise<void>;
  getMeshMetrics(): MeshMetrics;
}

/** A peer of a mesh. */
export interface PeerAgent {
  id: string;
  session: AgentSession;
  capabilities: string[];
  /** Tasks that it has: assigned and running. */
  load: number;
  state: AgentState;
  neighbors: Set<string>;
  lastSeen: number;
  metrics: {
    /** 0 to 1, over finished attempts; 1 before the first. */
    successRate: number;
    /** From assignment to result, in ms. */
    averageResponseTime: number;
    tasksCompleted: number;
    tasksFailed: number;
  };
}

/** A task. */
export interface MeshTask {
  id: string;
  type: string;
  description: string;
  requiredCapabilities: string[];
  /** 1 to 10; 10 is first. */
  priority: number;
  /** Ids of tasks that have to be completed before. */
  dependencies: string[];
  /** The peer that has it; in a task that is given: the one that is preferred. */
  assignedPeer?: string;
  state: 'pending' | 'assigned' | 'running' | 'completed' | 'failed';
  result?: any;
  error?: string;
  createdAt: number;
  assignedAt?: number;
  completedAt?: number;
  /** Not of the seed: any JSON, for the agent. */
  input?: any;
  /** Not of the seed: the line that a `shell` agent runs. */
  run?: string;
  /** Not of the seed: further attempts after a failed one. Default 0. */
  retries?: number;
  /** Not of the seed: how long one attempt may take, in ms. Default: for ever. */
  timeoutMs?: number;
}

/** A task that is handed in. Its type and description are empty, its priority 5, where they are not given. */
export type NewTask = Pick<MeshTask, 'id'> & Partial<Omit<MeshTask, 'id'>>;

/** What a mesh measured. */
export interface MeshMetrics extends CoordinatorMetrics {
  totalPeers: number;
  activePeers: number;
  averagePeerLoad: number;
  /** From `initialize` until all initial peers were known. */
  discoveryTimeMs: number;
  /** From the last return to the announcement, of the last round. */
  completionDetectionTimeMs: number;
  /** Messages of the application, one a recipient. */
  messagesSent: number;
  messagesReceived: number;
  /** From accepted to handler started. */
  p95PeerLatencyMs: number;
  tokenSavingsPercentage: number;
}

/** How a mesh is configured. */
export interface MeshCoordinatorConfig {
  swarmId: string;
  peerCount: number;
  maxConcurrentTasksPerPeer: number;
  /** `false`: only peers that are given at the start exist. */
  enablePeerDiscovery: boolean;
  /** `false`: the first eligible peer by id, and no rebalance. */
  enableLoadBalancing: boolean;
  discoveryIntervalMs: number;
  completionTimeoutMs: number;
  artifactStoragePath: string;
  messageBusConfig?: MessageBrokerConfig;
  enableAutoRebalance: boolean;
  rebalanceIntervalMs: number;
  loadImbalanceThreshold: number;
  /** Not of the seed: what `initialize` starts peers from, in turn. Default: the query controller's. */
  agents?: AgentDefinition[];
  /** Not of the seed: a peer with nothing to do for this long is paused as idle; work resumes it. `null`: never. Default 1,000. */
  pauseIdleAfterMs?: number | null;
  /** Not of the seed. Default `mesh`. */
  topology?: TopologyType;
  /** Not of the seed: what the choice of peers is to be good at. Default `balanced`. */
  strategy?: 'balanced' | 'adaptive' | 'performance';
  /** Not of the seed: the most peers right below another, in a tree. Default 7. */
  branching?: number;
  /** Not of the seed: how many workers a queen has, in a hierarchy. Default: as many peers as there are. */
  hierarchicalConfig?: Partial<QueenAgentConfig>;
  /** Not of the seed: how peers vote. Default: they do not. */
  consensusConfig?: Partial<ConsensusConfig>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 2: discovery
// ---------------------------------------------------------------------------------------------------------------------

/** Who is there, and what they can do. */
export interface IPeerDiscoverySystem {
  startDiscovery(swarmId: string): Promise<void>;
  stopDiscovery(): Promise<void>;
  findPeersByCapability(capability: string): string[];
  /** Those that have all of these. */
  findPeersByCapabilities(capabilities: string[]): string[];
  getPeerInfo(peerId: string): PeerInfo | undefined;
  getAllPeers(): Map<string, PeerInfo>;
  /** Also how a peer of this side is registered. Resolves when it was announced and stored, where discovery runs. */
  updatePeerCapabilities(peerId: string, capabilities: string[]): Promise<void>;
  /** Whether it was heard of within the caller's `timeoutMs`. */
  isPeerAlive(peerId: string, timeoutMs: number): boolean;
  getMetrics(): PeerDiscoveryMetrics;
}

/** A peer as others know it. */
export interface PeerInfo {
  id: string;
  capabilities: string[];
  load: number;
  lastSeen: number;
  state: AgentState;
  metadata?: {
    successRate?: number;
    averageResponseTime?: number;
    tasksCompleted?: number;
    tasksFailed?: number;
  };
}

/** What discovery counted. */
export interface PeerDiscoveryMetrics {
  totalPeersDiscovered: number;
  activePeers: number;
  /** Silent for `peerTimeoutMs`. */
  stalePeers: number;
  discoveryBroadcastsSent: number;
  peerAnnouncementsReceived: number;
  /** From broadcast to announcement. */
  averageDiscoveryLatencyMs: number;
  lastDiscoveryTime: number;
}

/** How discovery is configured. */
export interface PeerDiscoveryConfig {
  /** The only swarm that it may be started for. Default: any. */
  swarmId: string;
  /** Default 30,000. */
  discoveryIntervalMs: number;
  /** Default 1,000. */
  heartbeatIntervalMs: number;
  /** Default 5,000; more than `heartbeatIntervalMs`. */
  peerTimeoutMs: number;
  /** Default true: peers that join later find the others' states among the artifacts. */
  enableArtifactSharing: boolean;
  messageBus: MessageBroker;
  artifactStorage: ArtifactStorage;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 3: completion
// ---------------------------------------------------------------------------------------------------------------------

/** Tells when peers that send each other messages are done. */
export interface IDistributedCompletionDetector {
  /** These are the peers from now on; to be called before they begin to work. Again: replaces the set. */
  initialize(peerIds: string[]): Promise<void>;
  /**
   * True when no handler of the peers runs and none of their messages is on its way; false when nothing moved for
   * `timeoutMs` (default: `defaultTimeoutMs`). While a handler runs, it waits. Rejects with `NotInitialized`.
   */
  detectCompletion(swarmId: string, timeoutMs?: number): Promise<boolean>;
  /** Whether it is known, runs no handler, has the deficit 0, and the last wave of probes, if any, agreed. */
  isPeerCompleted(peerId: string): boolean;
  /** Messages that the peer sent and that are not closed; 0 for peers that are not known. */
  getDeficitCounter(peerId: string): number;
  /** Ids of the probes that were sent in the peer's name in the present detections, or the last ones. */
  getCompletionProbes(peerId: string): Set<string>;
  /** Forgets probes, waves and metrics. Rejects with `DetectionRuns` while a detection runs. */
  reset(): Promise<void>;
  getMetrics(): CompletionDetectorMetrics;
}

/** A probe, or its answer. */
export interface CompletionProbe {
  probeId: string;
  senderId: string;
  recipientId: string;
  timestamp: number;
  type: 'probe' | 'acknowledgment';
}

/** What a detector counted since it was made or reset. */
export interface CompletionDetectorMetrics {
  totalPeers: number;
  completedPeers: number;
  /** One a recipient. */
  totalProbesSent: number;
  totalAcksReceived: number;
  averageDetectionTimeMs: number;
  longestDetectionTimeMs: number;
  /** Calls. */
  detectionAttempts: number;
  /** Calls that resolved to true. */
  detectionSuccesses: number;
  /** Calls that resolved to false. */
  detectionTimeouts: number;
}

/** How a detector is configured. */
export interface DistributedCompletionConfig {
  /** Default 2,000. */
  defaultTimeoutMs: number;
  /** Default 50; at least 1. */
  probeRetryIntervalMs: number;
  /** Default 40. */
  maxProbeRetries: number;
  messageBus: MessageBroker;
  /** Default false: whether waves of probes are kept, see {@link DistributedCompletionDetector.getCheckpoints}. */
  enableCheckpoints: boolean;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 4: balance
// ---------------------------------------------------------------------------------------------------------------------

/** Spreads tasks over peers. */
export interface IMeshLoadBalancer {
  /** Throws `NoCandidates` for none; a peer never heard of has load 0. */
  selectLeastLoadedPeer(peerIds: string[]): string;
  updatePeerLoad(peerId: string, load: number): Promise<void>;
  getPeerLoad(peerId: string): number;
  rebalance(swarmId: string): Promise<void>;
  /** Largest load ÷ mean load ≤ `threshold`; an idle mesh is balanced. */
  isBalanced(threshold: number): boolean;
  getLoadDistribution(): LoadDistribution;
  getMetrics(): LoadBalancerMetrics;
}

/** How loads are spread. */
export interface LoadDistribution {
  averageLoad: number;
  minLoad: number;
  maxLoad: number;
  standardDeviation: number;
  variance: number;
  loadByPeer: Map<string, number>;
  /** Load above threshold × mean. */
  overloadedPeers: string[];
  /** Load below mean ÷ threshold. */
  underloadedPeers: string[];
}

/** What a balancer counted. */
export interface LoadBalancerMetrics {
  totalRebalances: number;
  /** One without a needed move is successful. */
  successfulRebalances: number;
  failedRebalances: number;
  averageRebalanceTimeMs: number;
  tasksRedistributed: number;
  loadUpdates: number;
  /** Largest ÷ mean; 1 when idle. */
  currentImbalanceRatio: number;
}

/** How a balancer is configured. */
export interface LoadBalancerConfig {
  /** Default 1.5. */
  imbalanceThreshold: number;
  /** Default 5,000. */
  rebalanceIntervalMs: number;
  /** Default true. */
  enableAutoRebalance: boolean;
  artifactStorage: ArtifactStorage;
  /** Default false: ignores the threshold. */
  aggressiveRebalancing: boolean;
  /** Default 2: below it, nothing is moved. */
  minTasksForRebalance: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 5: topologies
// ---------------------------------------------------------------------------------------------------------------------

/** Chooses a coordinator. */
export interface ITopologyRouter {
  /** Throws `InvalidConfig`, and then counts no selection. */
  selectCoordinator(config: SwarmConfig): ICoordinator;
  /** Counts the errors that it finds. */
  validateTopology(topology: TopologyType, agentCount: number): TopologyValidationResult;
  /** Mesh for 1 to 7 agents, hierarchical from 8, hybrid from 50. */
  getRecommendedTopology(agentCount: number): TopologyType;
  getMetrics(): TopologyRouterMetrics;
}

/** How a swarm is set up. */
export interface SwarmConfig {
  topology: TopologyType;
  maxAgents: number;
  strategy?: 'balanced' | 'adaptive' | 'performance';
  meshConfig?: Partial<MeshCoordinatorConfig>;
  hierarchicalConfig?: Partial<QueenAgentConfig>;
  enableConsensus?: boolean;
  consensusConfig?: Partial<ConsensusConfig>;
}

/** What is to be said of a topology. */
export interface TopologyValidationResult {
  valid: boolean;
  errors: string[];
  warnings: string[];
  recommendedTopology?: TopologyType;
  suggestions: string[];
}

/** What a router counted. */
export interface TopologyRouterMetrics {
  totalSelections: number;
  meshSelections: number;
  hierarchicalSelections: number;
  hybridSelections: number;
  topologyOverrides: number;
  validationErrors: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 6: messages
// ---------------------------------------------------------------------------------------------------------------------

/** Carries messages between peers, and to topics. */
export interface IMessageBroker {
  /**
   * Sends to whoever subscribed to the topic at this moment. One message, acknowledged when all of them have finished,
   * at once when there is none. Resolves when each of them has it.
   */
  publish(topic: string, message: Message): Promise<void>;
  /** Tokens are separated by `.`; `*` is any one token, `>` at the end one or more. Throws `InvalidTopic`. */
  subscribe(topic: string, handler: MessageHandler): void;
  /** Takes back one subscription of that very function to that topic; nothing happens when there is none. */
  unsubscribe(topic: string, handler: MessageHandler): void;
  /**
   * Sends to one peer, in order per sender. Resolves when the peer has it. Rejects with `UnknownPeer`, `MailboxFull`,
   * `TooLarge`; then it was not sent.
   */
  sendToPeer(senderId: string, recipientId: string, message: Message): Promise<void>;
  /** Resolves when all have it; rejects with `BroadcastIncomplete`, which names those that have not. */
  broadcastToMesh(senderId: string, neighbors: string[], message: Message): Promise<void>;
  /** From now on the handler gets what is sent to the peer. Several handlers of a peer all get each message. */
  onPeerMessage(peerId: string, handler: MessageHandler): void;
  /** Called for each message that the peer sends. */
  onPublish(peerId: string, handler: () => void): void;
  /** Called for each of the peer's messages that is acknowledged. */
  onAcknowledge(peerId: string, handler: () => void): void;
}

/**
 * A message. Payload and metadata are what JSON can carry; a function, a `BigInt`, `NaN`, a `Map` or bytes in them are
 * refused with `Unserializable` rather than changed.
 */
export interface Message {
  type: string;
  payload: any;
  /** Set by the broker where a sender is named. */
  senderId?: string;
  /** Set by the broker where it goes to one peer. */
  recipientId?: string;
  timestamp: number;
  /** One that comes again from the same sender to the same recipient or topic is delivered once. */
  messageId?: string;
  routingType?: 'broadcast' | 'p2p' | 'multicast';
  metadata?: Record<string, any>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 7: memory
// ---------------------------------------------------------------------------------------------------------------------

/** What agents remember and share. */
export interface ISwarmMemoryManager {
  /** Resolves to the entry's id. `type` is a {@link SwarmMemoryType}, `metadata` a {@link SwarmMemoryMetadata}. */
  remember(agentId: string, type: string, content: any, metadata?: any): Promise<string>;
  recall(query: SwarmMemoryQuery): Promise<SwarmMemoryEntry[]>;
  /** Gives another agent an entry of its own with the same content. Private entries are refused. */
  shareMemory(entryId: string, targetAgentId: string): Promise<void>;
  sharePeerState(peerId: string, state: PeerState): Promise<void>;
  queryMeshPeers(swarmId: string): Promise<PeerState[]>;
  updatePeerLoad(peerId: string, load: number): Promise<void>;
  getPeerLoad(peerId: string): Promise<number | undefined>;
}

/** A snapshot of a peer. */
export interface PeerState {
  peerId: string;
  capabilities: string[];
  load: number;
  state: AgentState;
  activeTasks: string[];
  metrics: {
    successRate: number;
    averageResponseTime: number;
    tasksCompleted: number;
    tasksFailed: number;
  };
  lastUpdated: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 8: pause and resume
// ---------------------------------------------------------------------------------------------------------------------

/** Pauses and resumes agents, and measures what that saves. */
export interface IQueryController {
  pauseAgent(agentId: string): Promise<void>;
  resumeAgent(agentId: string, checkpointId?: string): Promise<void>;
  /** All, or an error that names each failure. `reason` is a {@link PauseReason}. */
  pausePeers(peerIds: string[], reason?: string): Promise<void>;
  resumePeers(peerIds: string[]): Promise<void>;
  getTokenSavings(agentId: string): TokenSavings;
  /** The sums over the swarm. */
  getMeshTokenSavings(swarmId: string): TokenSavings;
}

/** Tokens that pausing saved: measured, never assumed. */
export interface TokenSavings {
  saved: number;
  total: number;
  /** 100 × saved ÷ (saved + total); 0 when both are 0. */
  percentage: number;
  pauseDurationMs: number;
  activeDurationMs: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// The package's own objects: the seed's interfaces, and what they have beside
// ---------------------------------------------------------------------------------------------------------------------

/** Every error of this package. */
export class MeshworkError extends Error {
  /** Stable, for programs: `UnknownPeer`, `MailboxFull`, `InvalidConfig`, `Closed`, … The message is for people. */
  code: string;
  constructor(code: string, message: string, details?: object);
}

/** What a broker counted since it was made. */
export interface BrokerMetrics {
  /** Messages accepted. */
  sent: number;
  /** Messages given to a handler, once, however often it was run. */
  delivered: number;
  acknowledged: number;
  /** Messages that will never be acknowledged. */
  dead: number;
  /** Further runs of handlers that had failed. */
  redelivered: number;
  /** From accepted to handler started, over a sample; 0 before the first. */
  p95LatencyMs: number;
  /** Messages that wait with each peer; subscriptions are peers whose names begin with `$`. */
  queued: Map<string, number>;
}

/** A message that will never be acknowledged. */
export interface DeadLetter {
  message: Message;
  code: 'HandlerTimeout' | 'HandlerFailed' | 'TooFar' | 'RecipientGone' | 'AttemptDropped';
  /** As a sentence, with the handler's last error. */
  reason: string;
  diedAt: number;
}

/** The package's broker. */
export interface LocalMessageBroker extends IMessageBroker {
  getMetrics(): BrokerMetrics;
  /** The last 256, oldest first. */
  getDeadLetters(): DeadLetter[];
  /** What waits becomes dead letters. Nothing keeps Node alive afterwards. */
  close(): Promise<void>;
}

/** The package's artifact storage. */
export interface LocalArtifactStorage extends ArtifactStorage {
  /** A `Buffer`. */
  retrieve(key: string): Promise<Uint8Array>;
  /** A folder that was made for it is removed, with its content. */
  close(): Promise<void>;
}

/** The package's memory. What a call has resolved to is durable, where the memory has a path. */
export interface LocalSwarmMemory extends ISwarmMemoryManager {
  /** What was handed over is stored first. */
  close(): Promise<void>;
}

/** A wave of probes whose answers were all there. */
export interface CompletionCheckpoint {
  swarmId: string;
  /** Counts the waves of the detector, from 1. */
  wave: number;
  atMs: number;
  /** Whether every peer was free. */
  agreed: boolean;
  peers: Record<
    string,
    { idle: boolean; running: number; deficit: number; surplus: number; sent: number; received: number; incarnation: number }
  >;
}

/** The package's detector. */
export interface DistributedCompletionDetector extends IDistributedCompletionDetector {
  /** What keeps the swarm from being done now, as sentences. */
  explain(): string[];
  /** The last 1,000 waves, oldest first, with `enableCheckpoints`. */
  getCheckpoints(): CompletionCheckpoint[];
}

/** What went wrong in a discovery and did no harm: counted since it was made. */
export interface DiscoveryFaults {
  /** Messages on its topics that it did not understand. */
  badMessages: number;
  /** Words of peers that said nothing newer than what was known. */
  outdatedWords: number;
  /** Words of further peers when too many are known. */
  refusedWords: number;
  /** Words in the name of a peer of this side that it did not say. */
  contestedWords: number;
  /** Messages of its own that did not get away. */
  unpublished: number;
  /** States of peers of this side that were not stored. */
  unstored: number;
  /** Artifacts that should be the state of a peer and are not. */
  unreadableStates: number;
}

/**
 * The package's discovery. Once started it goes on until `stopDiscovery()`, whoever holds it; neither keeps Node alive.
 * Started for another swarm after a stop, it forgets the other peers of the last one.
 */
export interface PeerDiscoverySystem extends IPeerDiscoverySystem {
  /**
   * Resolves as soon as so many peers are there, or those with these ids; peers of this side count. Rejects with
   * `PeersMissing` after `timeoutMs`, default 5,000.
   */
  awaitPeers(peers: number | string[], timeoutMs?: number): Promise<void>;
  /** A peer of this side says good-bye, and no more. Rejects with `UnknownPeer`. */
  forgetLocalPeer(peerId: string): Promise<void>;
  getFaults(): DiscoveryFaults;
}

/**
 * The package's balancer. With `enableAutoRebalance` it acts by itself until `close()`, whoever holds it; that does not
 * keep Node alive. One balancer a swarm is to rebalance: it rewrites the `activeTasks` of the states that peers stored.
 */
export interface MeshLoadBalancer extends IMeshLoadBalancer {
  /** The peer has left: its load counts no more. Says whether one was known. */
  forgetPeer(peerId: string): boolean;
  /** It does nothing any more; what has begun is ended. */
  close(): Promise<void>;
}

/** The package's router. */
export interface TopologyRouter extends ITopologyRouter {
  /**
   * A coordinator that is not initialized yet. `maxAgents` peers start, or `meshConfig.peerCount` of them; a queen starts
   * with `minWorkers` workers. Agents are those of `meshConfig.agents`, or the query controller's. Throws `InvalidConfig`.
   */
  selectCoordinator(config: SwarmConfig): MeshCoordinator;
}

/** What a voter is asked. */
export interface Proposal {
  ballotId: string;
  swarmId: string;
  voterId: string;
  content: any;
}

/** How a ballot ended. */
export interface Decision {
  approved: boolean;
  ballotId: string;
  /** Those that counted. */
  votes: { voterId: string; approve: boolean; reason?: string }[];
  notVoted: string[];
  /** Of these, the ones that have left. */
  lost: string[];
  /** Requests for a vote, one a voter and asking. */
  asked: number;
}

/**
 * The package's coordinator. Node stays as long as a task runs or can; a coordinator with nothing to do does not keep it.
 */
export interface MeshCoordinator extends IMeshCoordinator {
  assignTaskToPeer(task: NewTask): Promise<string>;
  /** Resolves as soon as the task is durable. */
  submitTask(task: NewTask): Promise<void>;
  /** Resolves to the task when it is closed, however it ended. Rejects with `UnknownTask`, `Closing`. */
  awaitTask(taskId: string): Promise<MeshTask>;
  /** The task as it is now. */
  getTask(taskId: string): Promise<MeshTask | undefined>;
  /** The task and its open children are to end. */
  cancelTask(taskId: string): Promise<void>;
  /** What the agent runs now is cancelled; what waits for it stays, and so does the agent. */
  cancelAgent(agentId: string, reason?: string): Promise<void>;
  /** The root of the tree; none in a mesh. */
  queen(): string | undefined;
  /** From now on the function votes for the peer. One that fails, or answers something else, rejects. */
  registerVoter(
    peerId: string,
    voter: (proposal: Proposal) => VoterAnswer | Promise<VoterAnswer>
  ): void;
  /** Asks the active peers. Rejects with `ConsensusDisabled`, `Undecided`. */
  propose(proposal: any): Promise<Decision>;
}

/** How a voter votes. */
export type VoterAnswer = boolean | { approve: boolean; reason?: string };

/** How a logger is configured. */
export interface LoggerConfig {
  /** The least level that is written. Default `info`. */
  level?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where lines go; default standard error. */
  write?: (line: string) => void;
}

// ---------------------------------------------------------------------------------------------------------------------
// Seed, section 9, and the package's further factories
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes the coordinator of a mesh. Throws `InvalidConfig`, `InvalidDependency`.
 *
 * @example
 * const coordinator = createMeshCoordinator({ agents: [{ capabilities: ['add'], agent: ({ input: [a, b] }) => a + b }] }, {
 *   messageBus: createMessageBroker(),
 *   queryController: createQueryController(),
 *   artifactStorage: createArtifactStorage(),
 *   swarmMemory: createSwarmMemory(),
 *   logger: createLogger(),
 * });
 * await coordinator.initialize();
 * await coordinator.submitTask({ id: 'sum', requiredCapabilities: ['add'], input: [1, 2] });
 * (await coordinator.awaitTask('sum')).result; // 3
 * await coordinator.cleanup();
 */
export function createMeshCoordinator(
  config: Partial<MeshCoordinatorConfig>,
  dependencies: {
    messageBus: MessageBroker;
    queryController: QueryController;
    artifactStorage: ArtifactStorage;
    swarmMemory: SwarmMemoryManager;
    logger: Logger;
  }
): MeshCoordinator;

/**
 * Makes a stand-alone discovery over a broker and artifacts, the package's or any other. Throws `InvalidConfig`,
 * `InvalidDependency`.
 *
 * @example
 * const discovery = createPeerDiscoverySystem({}, { messageBus: createMessageBroker(), artifactStorage: createArtifactStorage() });
 * await discovery.updatePeerCapabilities('reviewer', ['code-review']);
 * await discovery.startDiscovery('swarm-001');
 * discovery.findPeersByCapability('code-review'); // ['reviewer', …]
 * await discovery.stopDiscovery();
 */
export function createPeerDiscoverySystem(
  config: Partial<PeerDiscoveryConfig>,
  dependencies: {
    messageBus: MessageBroker;
    artifactStorage: ArtifactStorage;
  }
): PeerDiscoverySystem;

/**
 * Makes a stand-alone completion detector over a broker, the package's or any other.
 *
 * @example
 * const messageBus = createMessageBroker();
 * const detector = createDistributedCompletionDetector({}, { messageBus });
 * await detector.initialize(['planner', 'writer']);
 * // … they send each other messages …
 * await detector.detectCompletion('swarm-001'); // true
 */
export function createDistributedCompletionDetector(
  config: Partial<DistributedCompletionConfig>,
  dependencies: {
    messageBus: MessageBroker;
  }
): DistributedCompletionDetector;

/**
 * Makes a stand-alone load balancer. Throws `InvalidConfig`, `InvalidDependency`.
 *
 * @example
 * const balancer = createMeshLoadBalancer({}, { artifactStorage: createArtifactStorage() });
 * await balancer.updatePeerLoad('a', 4);
 * await balancer.updatePeerLoad('b', 1);
 * balancer.selectLeastLoadedPeer(['a', 'b']); // 'b'
 * balancer.isBalanced(1.5); // false
 * await balancer.close();
 */
export function createMeshLoadBalancer(
  config: Partial<LoadBalancerConfig>,
  dependencies: {
    artifactStorage: ArtifactStorage;
  }
): MeshLoadBalancer;

/**
 * Makes a topology router; the coordinators that it chooses get these dependencies. Throws `InvalidDependency`.
 *
 * @example
 * const router = createTopologyRouter({ messageBus, queryController, artifactStorage, swarmMemory, logger });
 * router.getRecommendedTopology(12); // 'hierarchical'
 * const coordinator = router.selectCoordinator({ topology: 'auto', maxAgents: 12 });
 * await coordinator.initialize();
 */
export function createTopologyRouter(dependencies: {
  messageBus: MessageBroker;
  queryController: QueryController;
  artifactStorage: ArtifactStorage;
  swarmMemory: SwarmMemoryManager;
  logger: Logger;
}): TopologyRouter;

/**
 * Makes a message broker for the peers of this process. Throws `InvalidConfig`.
 *
 * @example
 * const broker = createMessageBroker({ maxQueueSize: 100 });
 * broker.onPeerMessage('writer', message => console.log(message.payload));
 * await broker.sendToPeer('planner', 'writer', { type: 'note', payload: 'hello', timestamp: Date.now() });
 */
export function createMessageBroker(config?: Partial<MessageBrokerConfig>): LocalMessageBroker;

/**
 * Makes a memory: in the SQLite database at `path`, or one that goes with the process. Entries of another `swarmId`
 * (default `swarm`) in the same database are seen where they are public. Throws `InvalidConfig`, `Storage`.
 *
 * @example
 * const memory = createSwarmMemory({ path: 'memory.db', swarmId: 'swarm-001' });
 * await memory.remember('alice', 'knowledge', 'Quotes nest two deep.', { tags: ['parser'] });
 * const [newest] = await memory.recall({ tags: ['parser'], text: 'nest' });
 */
export function createSwarmMemory(config?: { path?: string; swarmId?: string }): LocalSwarmMemory;

/** Makes a controller; coordinators start their peers from `agents`, in turn. */
export function createQueryController(config?: { agents?: AgentDefinition[] }): IQueryController;

/** Makes an artifact storage: in the folder at `path`, or in one that goes with the process. Throws `Io`, `Damaged`, `OtherLayout`. */
export function createArtifactStorage(config?: { path?: string }): LocalArtifactStorage;

/** Makes a logger that writes a line of JSON a message: level, time, msg, context. Throws `InvalidConfig`. */
export function createLogger(config?: LoggerConfig): Logger;
