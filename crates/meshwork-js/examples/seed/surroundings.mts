// What the seed's usage examples take from their surroundings.

import { createArtifactStorage, createLogger, createMessageBroker, createQueryController, createSwarmMemory } from 'meshwork';

export const messageBus = createMessageBroker();
export const queryController = createQueryController({
  agents: [
    {
      capabilities: ['code-review', 'security'],
      agent: async (task, { peerId }) => ({ reviewer: peerId, verdict: `${task.description}: nothing found` }),
    },
  ],
});
export const artifactStorage = createArtifactStorage();
export const swarmMemory = createSwarmMemory();
export const logger = createLogger({ level: 'warn' });
