// Example 2 of the seed, word for word but for the path of its import.

import type { MeshTask } from 'meshwork';
import { coordinator } from './1-create-mesh-coordinator.mjs';

const task: MeshTask = {
  id: 'task-001',
  type: 'code-review',
  description: 'Review authentication module',
  requiredCapabilities: ['code-review', 'security'],
  priority: 8,
  dependencies: [],
  state: 'pending',
  createdAt: Date.now()
};

const assignedPeerId = await coordinator.assignTaskToPeer(task);
console.log(`Task assigned to peer: ${assignedPeerId}`);
