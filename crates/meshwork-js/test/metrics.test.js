'use strict'
// Every figure against what the test itself counted. Objects are compared by all their names: a new figure has to be
// compared with something, too.

const { assert, test, signal, message, until: soon } = require('./support.js')
const { TheirBroker } = require('./their-broker.js')
const { meshwork, task, started, dependencies, until } = require('./world.js')

/** Waits until so many ms have passed since then; resolves to how many they were. */
async function passed(since, ms) {
  await soon(() => performance.now() - since > ms)
  return performance.now() - since
}

const within = (least, value, most, what) => assert.ok(least <= value && value <= most, `${what}: ${least} <= ${value} <= ${most}`)

test('every figure of a mesh', async t => {
  // The bus takes nothing before it is open: so long peers do not know each other.
  const asked = signal()
  const open = signal()
  class Late extends TheirBroker {
    async publish(topic, given) {
      asked.resolve()
      await open.promise
      return super.publish(topic, given)
    }
  }
  const messageBus = new Late()
  const slow = signal()
  let returned
  const agents = [
    { capabilities: ['slow'], agent: () => slow.promise },
    { capabilities: ['bad'], agent: () => { throw new Error('no') } },
    { capabilities: ['dear'], agent: async (_task, { usage }) => { await usage({ inputTokens: 7, outputTokens: 3 }); returned = performance.now() } },
  ]
  const deps = dependencies({ messageBus })
  deps.queryController.getMeshTokenSavings('s')
  const began = performance.now()
  const coordinator = meshwork.createMeshCoordinator({ agents, peerCount: 3, swarmId: 's', maxConcurrentTasksPerPeer: 1, pauseIdleAfterMs: null }, deps)
  t.after(() => coordinator.cleanup())
  const starts = coordinator.initialize()
  const initialized = performance.now()
  await asked.promise
  const unmet = await passed(initialized, 30)
  open.resolve()
  await starts
  const met = performance.now() - began
  const submit = (id, capability, more) => coordinator.submitTask(task(id, { requiredCapabilities: [capability], ...more }))
  for (const [id, capability] of [['d1', 'dear'], ['d2', 'dear'], ['d3', 'dear'], ['b1', 'bad']]) {
    await submit(id, capability)
    await coordinator.awaitTask(id)
  }
  for (const id of ['runs', 'waits', 'waits-too']) await submit(id, 'slow')
  await submit('after', 'dear', { dependencies: ['runs'] })
  coordinator.updateTokenUsage('s-peer-1', { inputTokens: 4, outputTokens: 3 })
  await coordinator.pauseAgent('s-peer-3')
  // Three of five messages are handled; so long they were on their way.
  const [through, held] = [signal(), signal()]
  let handled = 0
  messageBus.onPeerMessage('listener', async ({ payload }) => {
    await (payload < 3 ? through.promise : held.promise)
    handled += 1
  })
  const firstSent = performance.now()
  for (let n = 0; n < 5; n += 1) await messageBus.sendToPeer('s-peer-1', 'listener', message(n))
  await messageBus.sendToPeer('stranger', 'listener', message(0))
  const onTheWay = await passed(performance.now(), 20)
  through.resolve()
  await until(() => coordinator.getMeshMetrics().messagesReceived === 3)
  const longest = performance.now() - firstSent
  assert.equal(handled, 4)
  const leastUptime = performance.now() - began - met
  const { discoveryTimeMs, p95PeerLatencyMs, uptimeMs, ...counted } = coordinator.getMeshMetrics()
  within(Math.floor(leastUptime), uptimeMs, performance.now() - began, 'uptime')
  within(unmet, discoveryTimeMs, met, 'discovery')
  // This bus does not say when handlers start: acknowledgements are what is known.
  within(onTheWay, p95PeerLatencyMs, longest, 'latency')
  assert.deepEqual(counted, {
    totalAgents: 3, activeAgents: 2, pausedAgents: 1, totalPeers: 3, activePeers: 2,
    totalTasks: 8, pendingTasks: 3, runningTasks: 1, completedTasks: 3, failedTasks: 1,
    totalTokensUsed: 3 * 10 + 7, averagePeerLoad: (3 + 0) / 2, completionDetectionTimeMs: 0,
    messagesSent: 5, messagesReceived: 3, tokenSavingsPercentage: 0,
  })
  held.resolve()
  slow.resolve()
  await coordinator.resumeAgent('s-peer-3')
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  const done = coordinator.getMeshMetrics()
  within(0, done.completionDetectionTimeMs, Math.ceil(performance.now() - returned) + 1, 'completion')
  assert.deepEqual([done.completedTasks, done.failedTasks, done.pendingTasks, done.runningTasks, done.messagesReceived], [7, 1, 0, 0, 5])
})

test('every figure of a peer', async t => {
  const gate = signal()
  const coordinator = await started(t, ({ input }) => {
    if (input === 'bad') throw new Error('no')
    return gate.promise
  }, { swarmId: 's', maxConcurrentTasksPerPeer: 1 })
  assert.deepEqual(coordinator.getPeer('s-peer-1').metrics, { successRate: 1, averageResponseTime: 0, tasksCompleted: 0, tasksFailed: 0 })
  const began = performance.now()
  for (const [id, input] of [['a'], ['b'], ['c', 'bad']]) await coordinator.submitTask(task(id, { input }))
  assert.equal(coordinator.getPeer('s-peer-1').load, 3)
  // Assigned together, they end together: the second and the third have waited, too.
  const least = await passed(performance.now(), 30)
  gate.resolve()
  for (const id of ['a', 'b', 'c']) await coordinator.awaitTask(id)
  const { averageResponseTime, ...counted } = coordinator.getPeer('s-peer-1').metrics
  assert.deepEqual(counted, { successRate: 2 / 3, tasksCompleted: 2, tasksFailed: 1 })
  within(Math.floor(least) - 1, averageResponseTime, performance.now() - began + 1, 'response time')
  assert.equal(coordinator.getPeer('s-peer-1').load, 0)
})

test('every figure of token savings', async t => {
  let wakes = 0
  const agent = { run() {}, wakeIntervalMs: 2, wake: () => { wakes += 1; return { inputTokens: 7, outputTokens: 3 } } }
  const coordinator = await started(t, agent, { swarmId: 's', pauseIdleAfterMs: null })
  const { queryController } = coordinator.deps
  const began = performance.now()
  const savings = () => queryController.getTokenSavings('s-peer-1')
  await until(() => wakes >= 3)
  await coordinator.pauseAgent('s-peer-1')
  const paused = performance.now()
  await until(() => savings().saved >= 50)
  await until(() => savings().total === wakes * 10)
  const least = performance.now() - paused
  const { percentage, saved, total, pauseDurationMs, activeDurationMs } = savings()
  assert.deepEqual(Object.keys(savings()), ['saved', 'total', 'percentage', 'pauseDurationMs', 'activeDurationMs'])
  assert.equal(total, wakes * 10, 'those of every wake')
  assert.equal(saved % 10, 0, 'so many wakes')
  within(50, saved, 10 * (performance.now() - began) / agent.wakeIntervalMs, 'saved')
  assert.ok(Math.abs(percentage - 100 * saved / (saved + total)) < 1e-9)
  within(Math.floor(least) - 1, pauseDurationMs, performance.now() - began, 'pause')
  within(0, activeDurationMs + pauseDurationMs, performance.now() - began + 1_000, 'both')
  const ofMesh = () => queryController.getMeshTokenSavings('s').percentage
  const [before, shown, after] = [ofMesh(), coordinator.getMeshMetrics().tokenSavingsPercentage, ofMesh()]
  within(before, shown, after, 'percentage of the mesh')
  assert.ok(before > 0)
  assert.deepEqual(Object.keys(queryController.getMeshTokenSavings('s')), Object.keys(savings()))
  assert.equal(coordinator.getMetrics().totalTokensUsed, total, 'the mesh counts wakes, too')
})

test('the times of a detector', async () => {
  const messageBus = meshwork.createMessageBroker()
  const detector = meshwork.createDistributedCompletionDetector({}, { messageBus })
  await detector.initialize(['a', 'b'])
  const gate = signal()
  messageBus.onPeerMessage('b', () => gate.promise)
  await messageBus.sendToPeer('a', 'b', message(1))
  const began = performance.now()
  const detects = detector.detectCompletion('s')
  const least = await passed(performance.now(), 30)
  gate.resolve()
  assert.equal(await detects, true)
  const first = performance.now() - began
  assert.equal(await detector.detectCompletion('s'), true)
  const both = performance.now() - began
  const { averageDetectionTimeMs, longestDetectionTimeMs, detectionAttempts, detectionSuccesses } = detector.getMetrics()
  assert.deepEqual([detectionAttempts, detectionSuccesses], [2, 2])
  within(Math.floor(least), longestDetectionTimeMs, first, 'longest')
  within(Math.floor(least) / 2, averageDetectionTimeMs, both / 2 + 1, 'average')
  await messageBus.close()
})

test('the latency of a broker is that which its peers see', async () => {
  const broker = meshwork.createMessageBroker()
  const gate = signal()
  let handled = 0
  broker.onPeerMessage('b', async () => {
    await gate.promise
    handled += 1
  })
  const began = performance.now()
  for (let n = 0; n < 80; n += 1) await broker.sendToPeer('a', 'b', message(n))
  const least = await passed(performance.now(), 30)
  // One is with its handler.
  assert.deepEqual(broker.getMetrics().queued, new Map([['b', 79]]))
  gate.resolve()
  await soon(() => handled === 80)
  // At most an eighth too high.
  within(least, broker.getMetrics().p95LatencyMs, 1.125 * (performance.now() - began), 'latency')
  await broker.close()
})

test('every figure of a discovery', async t => {
  const given = { messageBus: meshwork.createMessageBroker(), artifactStorage: meshwork.createArtifactStorage() }
  const heard = []
  given.messageBus.subscribe('mesh.s.discovery', ({ type, payload }) => { heard.push([type, payload.id]) })
  const sides = ['a', 'b'].map(id => [id, meshwork.createPeerDiscoverySystem({ discoveryIntervalMs: 600_000, heartbeatIntervalMs: 600_000, peerTimeoutMs: 1_200_000 }, given)])
  for (const [, side] of sides) t.after(() => side.stopDiscovery())
  const [[, here], [, there]] = sides
  for (const [id, side] of sides) await side.updatePeerCapabilities(id, ['x'])
  await there.startDiscovery('s')
  const [wall, asked] = [Date.now(), performance.now()]
  await here.startDiscovery('s')
  await here.awaitPeers(['a', 'b'], 60_000)
  const from = id => heard.filter(([type, of]) => type === 'peer-announcement' && of === id).length
  await until(() => here.getMetrics().averageDiscoveryLatencyMs > 0 && here.getMetrics().peerAnnouncementsReceived === from('b'))
  const answered = performance.now() - asked
  const { averageDiscoveryLatencyMs, lastDiscoveryTime, peerAnnouncementsReceived, ...counted } = here.getMetrics()
  assert.deepEqual(counted, { totalPeersDiscovered: 2, activePeers: 2, stalePeers: 0, discoveryBroadcastsSent: 1 })
  assert.ok(peerAnnouncementsReceived >= 1)
  within(0, averageDiscoveryLatencyMs, answered, 'latency')
  within(wall - 1_000, lastDiscoveryTime, Date.now() + 1_000, 'time')
})

test('every figure of a balancer', async t => {
  const gates = [signal(), signal()]
  const ours = meshwork.createArtifactStorage()
  let asked = 0
  const artifactStorage = {
    store: (...given) => ours.store(...given),
    retrieve: key => ours.retrieve(key),
    delete: key => ours.delete(key),
    stat: key => ours.stat(key),
    list: async prefix => {
      asked += 1
      await gates[asked - 1].promise
      if (asked === 2) throw new Error('disk full')
      return ours.list(prefix)
    },
  }
  const balancer = meshwork.createMeshLoadBalancer({ enableAutoRebalance: false }, { artifactStorage })
  t.after(() => balancer.close())
  for (const [peer, load] of [['a', 9], ['a', 8], ['b', 4], ['c', 0]]) await balancer.updatePeerLoad(peer, load)
  const began = performance.now()
  let least = 0
  for (const [gate, ends] of [[gates[0], undefined], [gates[1], /disk full/]]) {
    const rebalances = balancer.rebalance('s')
    const ended = ends === undefined ? rebalances : assert.rejects(rebalances, ends)
    await soon(() => asked === gates.indexOf(gate) + 1)
    least += await passed(performance.now(), 20)
    gate.resolve()
    await ended
  }
  const { averageRebalanceTimeMs, ...counted } = balancer.getMetrics()
  within(least / 2, averageRebalanceTimeMs, (performance.now() - began) / 2, 'time')
  assert.deepEqual(counted, { totalRebalances: 2, successfulRebalances: 1, failedRebalances: 1, tasksRedistributed: 0, loadUpdates: 4, currentImbalanceRatio: 2 })
})
