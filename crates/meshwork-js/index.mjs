// The same for `import`.

import meshwork from './index.js'

export const {
  MeshworkError,
  createMessageBroker,
  createArtifactStorage,
  createSwarmMemory,
  createDistributedCompletionDetector,
  createPeerDiscoverySystem,
  createMeshLoadBalancer,
  createTopologyRouter,
  createQueryController,
  createMeshCoordinator,
  createLogger,
} = meshwork
