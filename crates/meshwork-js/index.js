'use strict'
// One file a part; see index.d.ts for what each is.

module.exports = {
  MeshworkError: require('./lib/errors.js').MeshworkError,
  createMessageBroker: require('./lib/broker.js').createMessageBroker,
  createArtifactStorage: require('./lib/artifacts.js').createArtifactStorage,
  createSwarmMemory: require('./lib/memory.js').createSwarmMemory,
  createDistributedCompletionDetector: require('./lib/detector.js').createDistributedCompletionDetector,
  createPeerDiscoverySystem: require('./lib/discovery.js').createPeerDiscoverySystem,
  createMeshLoadBalancer: require('./lib/balance.js').createMeshLoadBalancer,
  createTopologyRouter: require('./lib/topology.js').createTopologyRouter,
  createQueryController: require('./lib/controller.js').createQueryController,
  createMeshCoordinator: require('./lib/coordinator.js').createMeshCoordinator,
  createLogger: require('./lib/logger.js').createLogger,
}
