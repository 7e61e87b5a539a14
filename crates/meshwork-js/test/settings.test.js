'use strict'
// What each setting of a coordinator changes, where no other test shows it.

const { assert, test, message, signal } = require('./support.js')
const { meshwork, task, started, until } = require('./world.js')

const never = () => new Promise(() => {})

test('discoveryIntervalMs: peers ask who is there so often', async t => {
  const messageBus = meshwork.createMessageBroker()
  const asked = { quick: 0, slow: 0 }
  messageBus.subscribe('mesh.*.discovery', ({ type, payload }) => { if (type === 'peer-query') asked[payload.swarmId] += 1 })
  await started(t, () => 1, { swarmId: 'slow', discoveryIntervalMs: 600_000 }, { messageBus })
  await started(t, () => 1, { swarmId: 'quick', discoveryIntervalMs: 1 }, { messageBus })
  await until(() => asked.quick >= 5)
  assert.equal(asked.slow, 1)
})

test('completionTimeoutMs: so long nothing may go on before the answer is no', async t => {
  let patient
  const waits = []
  for (const [swarmId, completionTimeoutMs] of [['long', 600_000], ['short', 20]]) {
    const coordinator = await started(t, () => 1, { swarmId, completionTimeoutMs })
    await coordinator.pauseAgent(`${swarmId}-peer-1`)
    await coordinator.submitTask(task('t'))
    patient ??= coordinator
    waits.push(coordinator.waitForMeshCompletion())
  }
  assert.equal(await Promise.race(waits), false)
  assert.equal(await waits[1], false, 'it was the short one')
  await patient.resumeAgent('long-peer-1')
  assert.equal(await waits[0], true)
})

/** Seven tasks are at the first peer and one runs at the second, which may take any; nobody ever ends one. */
async function lopsided(t, swarmId, settings) {
  const agents = [['x'], ['x', 'y']].map(capabilities => ({ capabilities, agent: never }))
  const coordinator = await started(t, undefined, { agents, peerCount: 2, maxConcurrentTasksPerPeer: 1, swarmId, ...settings })
  const [first, second] = [`${swarmId}-peer-1`, `${swarmId}-peer-2`]
  assert.equal(await coordinator.assignTaskToPeer(task('y', { requiredCapabilities: ['y'] })), second)
  await coordinator.pauseAgent(second)
  for (let n = 0; n < 7; n += 1) assert.equal(await coordinator.assignTaskToPeer(task(`x${n}`, { requiredCapabilities: ['x'] })), first)
  await coordinator.resumeAgent(second)
  return { coordinator, loads: () => [first, second].map(id => coordinator.getPeer(id).load) }
}

test('enableAutoRebalance, rebalanceIntervalMs, loadImbalanceThreshold: whether, when and from when on waiting tasks move', async t => {
  // Of loads 7 and 1 the largest is 1.75 times the mean.
  const off = await lopsided(t, 'off', { enableAutoRebalance: false, rebalanceIntervalMs: 1 })
  const late = await lopsided(t, 'late', { rebalanceIntervalMs: 600_000 })
  const calm = await lopsided(t, 'calm', { rebalanceIntervalMs: 1, loadImbalanceThreshold: 1.8 })
  const acts = await lopsided(t, 'acts', { rebalanceIntervalMs: 1, loadImbalanceThreshold: 1.7 })
  await until(() => acts.loads()[0] === 4)
  assert.deepEqual(acts.loads(), [4, 4])
  for (const { coordinator, loads } of [off, late, calm]) {
    assert.deepEqual(loads(), [7, 1])
    await coordinator.rebalanceMesh()
    assert.deepEqual(loads(), [4, 4], 'there were moves')
  }
})

test('messageBusConfig: the limits of what programs send with their tools', async t => {
  const program = `
    const { MESHWORK_URL, MESHWORK_TOKEN } = process.env
    const body = JSON.stringify({ to: 's-peer-1', type: 'note', payload: 'x'.repeat(100) })
    const headers = { authorization: 'Bearer ' + MESHWORK_TOKEN, 'content-type': 'application/json' }
    fetch(MESHWORK_URL + '/v1/send_message', { method: 'POST', headers, body })
      .then(answer => answer.json()).then(({ error }) => console.log(JSON.stringify(error?.code ?? 'sent')))`
  const agents = [{ capabilities: [], agent: { kind: 'command', command: [process.execPath, '-e', program] } }]
  for (const [messageBusConfig, expected] of [[undefined, 'sent'], [{ maxMessageSize: 99 }, 'MessageTooLarge']]) {
    const coordinator = await started(t, undefined, { agents, swarmId: 's', ...(messageBusConfig && { messageBusConfig }) })
    await coordinator.submitTask(task('t'))
    const done = await coordinator.awaitTask('t')
    assert.equal(done.result, expected, done.error)
    await coordinator.cleanup()
  }
})

test('strategy: performance gives a task to whoever is expected to end it first', async t => {
  for (const [strategy, expected] of [['balanced', [2, 2]], ['performance', [4, 0]]]) {
    const agents = ['quick', 'slow'].map(name => ({
      capabilities: [name],
      // A task of its own is how long it takes is learned; the others stay.
      agent: ({ requiredCapabilities }) => (requiredCapabilities.length === 0 ? never() : new Promise(done => setTimeout(done, name === 'slow' ? 200 : 1))),
    }))
    const coordinator = await started(t, undefined, { agents, peerCount: 2, maxConcurrentTasksPerPeer: 4, swarmId: 's', strategy })
    for (const name of ['quick', 'slow']) {
      await coordinator.submitTask(task(name, { requiredCapabilities: [name] }))
      await coordinator.awaitTask(name)
    }
    for (let n = 0; n < 4; n += 1) await coordinator.assignTaskToPeer(task(`t${n}`))
    assert.deepEqual(['s-peer-1', 's-peer-2'].map(id => coordinator.getPeer(id).load), expected, strategy)
    await coordinator.cleanup()
  }
})

test('hierarchicalConfig: a queen hires up to its limit', async t => {
  const open = signal()
  const agents = [{ capabilities: [], agent: () => open.promise }]
  const make = hierarchicalConfig => started(t, undefined, { agents, peerCount: 2, topology: 'hierarchical', maxConcurrentTasksPerPeer: 1, hierarchicalConfig })
  const [scales, still] = [await make({ minWorkers: 1, maxWorkers: 3 }), await make({ minWorkers: 1, maxWorkers: 3, autoScale: false })]
  for (const coordinator of [still, scales]) for (let n = 0; n < 9; n += 1) await coordinator.submitTask(task(`t${n}`))
  await until(() => scales.getMetrics().totalAgents === 4)
  assert.equal(still.getMetrics().totalAgents, 2)
  open.resolve()
  assert.equal(await scales.waitForMeshCompletion(), true)
  assert.ok(scales.getMetrics().totalAgents <= 4)
})

test('maxConcurrentTasks of a definition is before the one of the mesh', async t => {
  const definition = maxConcurrentTasks => ({ capabilities: [], agent: never, maxConcurrentTasks })
  for (const [own, mesh, expected] of [[undefined, 2, 2], [3, 2, 3], [1, 2, 1]]) {
    const coordinator = await started(t, undefined, { agents: [definition(own)], maxConcurrentTasksPerPeer: mesh })
    for (let n = 0; n < 5; n += 1) await coordinator.submitTask(task(`t${n}`))
    const { runningTasks, pendingTasks } = coordinator.getMetrics()
    assert.deepEqual([runningTasks, pendingTasks], [expected, 5 - expected])
  }
})

test('pauseIdleAfterMs: a peer with nothing to do for so long is paused', async t => {
  const late = await started(t, () => 1, { pauseIdleAfterMs: 600_000 })
  const quick = await started(t, () => 1, { pauseIdleAfterMs: 1 })
  await until(() => quick.getPausedAgents().length === 1)
  assert.deepEqual(late.getPausedAgents(), [])
})

/** One that has twenty ms for something, and one that has ten minutes. */
const TIMES = [600_000, 20]

test('ackTimeoutMs of a broker: so long a handler may take', async () => {
  const [late, quick] = TIMES.map(ackTimeoutMs => meshwork.createMessageBroker({ ackTimeoutMs }))
  for (const broker of [late, quick]) {
    broker.onPeerMessage('b', never)
    await broker.sendToPeer('a', 'b', message(1))
  }
  await until(() => quick.getMetrics().dead === 1)
  assert.equal(late.getMetrics().dead, 0)
  await Promise.all([late.close(), quick.close()])
})

test('defaultTimeoutMs of a detector: so long nothing may move', async () => {
  const messageBus = meshwork.createMessageBroker()
  const open = signal()
  messageBus.onPeerMessage('outside', () => open.promise)
  const detectors = TIMES.map(defaultTimeoutMs => meshwork.createDistributedCompletionDetector({ defaultTimeoutMs }, { messageBus }))
  for (const detector of detectors) await detector.initialize(['a'])
  await messageBus.sendToPeer('a', 'outside', message(1))
  const [late, quick] = detectors.map(detector => detector.detectCompletion('s'))
  assert.equal(await Promise.race([late, quick]), false)
  assert.equal(await quick, false, 'it was that one')
  open.resolve()
  assert.equal(await late, true)
  await messageBus.close()
})

test('peerTimeoutMs of a discovery: so long a peer may be silent', async t => {
  const given = { messageBus: meshwork.createMessageBroker(), artifactStorage: meshwork.createArtifactStorage() }
  const side = async (id, settings) => {
    const discovery = meshwork.createPeerDiscoverySystem(settings, given)
    t.after(() => discovery.stopDiscovery())
    await discovery.updatePeerCapabilities(id, [])
    await discovery.startDiscovery('s')
    return discovery
  }
  const silent = await side('silent', { heartbeatIntervalMs: 1, peerTimeoutMs: 600_000 })
  const [late, quick] = [await side('late', { heartbeatIntervalMs: 1, peerTimeoutMs: 600_000 }), await side('quick', { heartbeatIntervalMs: 1, peerTimeoutMs: 50 })]
  for (const one of [late, quick]) await one.awaitPeers(['silent'], 60_000)
  await silent.stopDiscovery()
  await until(() => quick.getMetrics().stalePeers > 0)
  assert.equal(late.getMetrics().stalePeers, 0)
})

test('rebalanceIntervalMs of a balancer: so often it looks by itself', async t => {
  const looks = TIMES.map(() => 0)
  TIMES.forEach((rebalanceIntervalMs, index) => {
    const ours = meshwork.createArtifactStorage()
    const artifactStorage = {
      store: (...given) => ours.store(...given),
      retrieve: key => ours.retrieve(key),
      delete: key => ours.delete(key),
      stat: key => ours.stat(key),
      list: prefix => { looks[index] += 1; return ours.list(prefix) },
    }
    const balancer = meshwork.createMeshLoadBalancer({ rebalanceIntervalMs }, { artifactStorage })
    t.after(() => balancer.close())
  })
  await until(() => looks[1] >= 5)
  assert.equal(looks[0], 0)
})
