'use strict'
// Twenty thousand tasks by functions, over ten peers: each runs once, all complete, and nothing is held that was done.

const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { functions } = require('../lib/calls.js')
const { assert, test } = require('./support.js')
const { meshwork, task, dependencies, started, until } = require('./world.js')

const PEERS = 10
const TASKS = 20_000
const ROUNDS = 5
/** Tasks that are handed in beside each other; more would only wait in another place. */
const WINDOW = 1_000
/** What the log, which is in memory here, and its read model may keep of a task, in bytes. */
const KEPT = 8_000

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

function memory() {
  collectGarbage()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return { heap: heapUsed, native: rss - heapTotal }
}

test('20,000 tasks by functions over 10 peers: each runs once, all complete, in flat memory', async t => {
  const ran = new Uint8Array(TASKS)
  // Half of the functions promise, half do not.
  const does = ({ input }) => { ran[input] += 1; return { did: input } }
  const agents = [{ capabilities: ['x'], agent: does }, { capabilities: ['x'], agent: async given => does(given) }]
  const coordinator = await started(t, undefined, { agents, peerCount: PEERS, maxConcurrentTasksPerPeer: 8, swarmId: 's' })
  const before = process.hrtime.bigint()
  const measured = []
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let from = 0; from < TASKS / ROUNDS; from += WINDOW) {
      const numbers = Array.from({ length: Math.min(WINDOW, TASKS / ROUNDS - from) }, (_, index) => round * TASKS / ROUNDS + from + index)
      await Promise.all(numbers.map(n => coordinator.assignTaskToPeer(task(`t${n}`, { input: n, requiredCapabilities: ['x'] }))))
    }
    assert.equal(await coordinator.waitForMeshCompletion(), true)
    measured.push(memory())
  }
  const seconds = Number(process.hrtime.bigint() - before) / 1e9
  t.diagnostic(`${Math.round(TASKS / seconds)} tasks/s; after each round, in MB: ${measured.map(({ heap, native }) => `heap ${(heap / 1e6).toFixed(1)}, beside it ${(native / 1e6).toFixed(0)}`).join('; ')}`)
  assert.ok(ran.every(count => count === 1), 'each ran once')
  const { completedTasks, failedTasks, totalTasks } = coordinator.getMetrics()
  assert.deepEqual({ completedTasks, failedTasks, totalTasks }, { completedTasks: TASKS, failedTasks: 0, totalTasks: TASKS })
  const peers = coordinator.getActiveAgents().concat(coordinator.getPausedAgents()).map(id => coordinator.getPeer(id).metrics.tasksCompleted)
  assert.equal(peers.reduce((sum, count) => sum + count), TASKS)
  assert.equal(peers.length, PEERS)
  assert.deepEqual((await coordinator.getTask('t19999')).result, { did: 19999 })
  const rest = TASKS / ROUNDS * (ROUNDS - 1)
  const heap = measured.at(-1).heap - measured[0].heap
  assert.ok(heap < 2_000_000, `JavaScript's heap grew by ${heap} bytes over ${rest} tasks`)
  const native = measured.at(-1).native - measured[0].native
  assert.ok(native < rest * KEPT, `${native} bytes more for ${rest} tasks that the log keeps`)
}, 300_000)

test('what a coordinator registered is let go with its cleanup', async () => {
  const queryController = meshwork.createQueryController({ agents: [{ capabilities: [], agent: { run: () => 1, checkpoint: () => 1, restore() {}, wake() {}, wakeIntervalMs: 1_000 } }] })
  const deps = dependencies({ queryController })
  const held = functions.size
  for (let n = 0; n < 20; n += 1) {
    const coordinator = meshwork.createMeshCoordinator({ peerCount: 3, swarmId: `s${n}` }, deps)
    await coordinator.initialize()
    // Like most functions, it knows its coordinator.
    await coordinator.spawnAgent({ capabilities: ['own'], agent: () => coordinator.isReady() })
    await coordinator.submitTask(task('t', { requiredCapabilities: ['own'] }))
    await coordinator.awaitTask('t')
    await coordinator.cleanup()
  }
  assert.throws(() => meshwork.createMeshCoordinator({ peerCount: 0 }, deps))
  await until(() => { collectGarbage(); return functions.size <= held })
})
