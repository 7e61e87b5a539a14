// Example 3 of the seed, word for word but for the path of its import.

import { coordinator } from './1-create-mesh-coordinator.mjs';
import './2-assign-task-to-peer.mjs';

const completed = await coordinator.waitForMeshCompletion();

if (completed) {
  const metrics = coordinator.getMeshMetrics();
  console.log(`Mesh completed in ${metrics.completionDetectionTimeMs}ms`);
}
