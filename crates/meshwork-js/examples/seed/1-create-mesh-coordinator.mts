// Example 1 of the seed, word for word but for the path of its import.

import { artifactStorage, logger, messageBus, queryController, swarmMemory } from './surroundings.mjs';

import { createMeshCoordinator, MeshCoordinatorConfig } from 'meshwork';

const config: Partial<MeshCoordinatorConfig> = {
  swarmId: 'swarm-001',
  peerCount: 5,
  maxConcurrentTasksPerPeer: 3,
  enablePeerDiscovery: true,
  enableLoadBalancing: true,
  discoveryIntervalMs: 30000,
  completionTimeoutMs: 2000
};

const coordinator = createMeshCoordinator(config, {
  messageBus,
  queryController,
  artifactStorage,
  swarmMemory,
  logger
});

await coordinator.initialize();

export { coordinator };
