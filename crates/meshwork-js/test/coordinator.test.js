'use strict'
// The members of the seed's coordinator, and what it has beside.

const { rmSync, mkdtempSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { assert, test, signal, failsWith, run } = require('./support.js')
const { TheirBroker } = require('./their-broker.js')
const { meshwork, task, dependencies, started, until } = require('./world.js')

const { createMeshCoordinator, createQueryController } = meshwork

test('a task goes to a peer that can do it, and what the function answers is its result', async t => {
  const agent = (given, context) => ({ did: given.id, as: context.peerId, attempt: context.attempt, capable: given.requiredCapabilities })
  const coordinator = await started(t, agent, { capabilities: ['a', 'b'], swarmId: 's' })
  const peer = await coordinator.assignTaskToPeer(task('t', { requiredCapabilities: ['b'] }))
  assert.equal(peer, 's-peer-1')
  const done = await coordinator.awaitTask('t')
  assert.deepEqual(done.result, { did: 't', as: 's-peer-1', attempt: 1, capable: ['b'] })
  assert.deepEqual([done.state, done.assignedPeer, done.description, done.priority], ['completed', 's-peer-1', 'do t', 5])
  assert.ok(done.createdAt <= done.assignedAt && done.assignedAt <= done.completedAt)
  assert.equal(await coordinator.assignTaskToPeer(task('t', { requiredCapabilities: ['b'] })), peer, 'the same again')
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  assert.equal(await coordinator.getTask('other'), undefined)
})

test('what an agent is handed is the task as the seed has it, with its input', async t => {
  const seen = signal()
  const coordinator = await started(t, given => { seen.resolve(given) }, { swarmId: 's' })
  await coordinator.submitTask(task('t', { input: { deep: [1, null, 'ü'] }, retries: 1, timeoutMs: 50_000, priority: 10 }))
  const given = await seen.promise
  const { createdAt, assignedAt, ...rest } = given
  assert.ok(Number.isInteger(createdAt) && assignedAt >= createdAt)
  assert.deepEqual(rest, {
    id: 't', type: 'test', description: 'do t', requiredCapabilities: [], priority: 10, dependencies: [],
    assignedPeer: 's-peer-1', state: 'running', input: { deep: [1, null, 'ü'] }, retries: 1, timeoutMs: 50_000,
  })
  assert.equal('result' in await coordinator.awaitTask('t'), false, 'undefined is no result')
})

test('every refusal has its code, and says what is wrong', async t => {
  const coordinator = await started(t, () => 1, { capabilities: ['a'], swarmId: 's' })
  const refused = (given, code, text) => assert.rejects(coordinator.assignTaskToPeer(given), failsWith(code, text))
  await refused(task('t', { requiredCapabilities: ['a', 'z'] }), 'NoCapablePeer', '"z"')
  await refused(task('t', { priority: 0 }), 'InvalidTask', 'priority')
  await refused(task('t', { priority: 11 }), 'InvalidTask', 'priority')
  await refused(task('t', { priority: 1e9 }), 'InvalidTask', 'priority')
  await refused(task('t', { priority: 1.5 }), 'InvalidTask', 'priority')
  await refused(task('t', { state: 'running' }), 'InvalidTask', 'state')
  await refused(task('t', { state: 'odd' }), 'InvalidTask', 'state')
  await refused(task('t', { dependencies: ['t'] }), 'InvalidTask', 'dependencies')
  await refused(task('t', { dependencies: ['nobody'] }), 'Refused', 'nobody')
  await refused(task('-t'), 'InvalidTask', 'id')
  await refused(task(undefined), 'InvalidTask', 'id')
  await refused(task('t', { typo: 1 }), 'InvalidTask', 'typo')
  await refused(task('t', { input: () => {} }), 'Unserializable', 'input')
  await refused(task('t', { requiredCapabilities: 'a' }), 'InvalidTask', 'requiredCapabilities')
  for (const garbage of [undefined, null, 5, 'text', [], () => {}]) await refused(garbage, 'InvalidTask', 'task is')
  await coordinator.assignTaskToPeer(task('t'))
  await refused(task('t', { description: 'other' }), 'IdTaken', '"t"')
  await assert.rejects(coordinator.awaitTask('x'), failsWith('UnknownTask', '"x"'))
  await assert.rejects(coordinator.cancelTask('x'), failsWith('UnknownTask', '"x"'))
  for (const method of ['pauseAgent', 'resumeAgent', 'terminateAgent', 'createCheckpoint', 'listCheckpoints', 'cancelAgent']) {
    await assert.rejects(coordinator[method]('x'), failsWith('UnknownPeer', '"x"'), method)
    await assert.rejects(coordinator[method](5), failsWith('InvalidArgument', 'id is 5'), method)
  }
  await assert.rejects(coordinator.pauseAgent('s-peer-1', 'tired'), failsWith('UnknownReason', 'tired'))
  assert.throws(() => coordinator.updateTokenUsage('s-peer-1', { inputTokens: -1 }), failsWith('InvalidArgument', 'inputTokens'))
  await assert.rejects(coordinator.initialize(), failsWith('AlreadyInitialized'))
})

test('a task that depends on others comes after them, or fails with them', async t => {
  const order = []
  const agent = ({ id }) => {
    order.push(id)
    if (id === 'bad') throw new Error('no luck')
    return id
  }
  const coordinator = await started(t, agent, { peerCount: 3 })
  await coordinator.submitTask(task('a'))
  await coordinator.assignTaskToPeer(task('b', { dependencies: ['a'] }))
  assert.deepEqual(order.slice(0, 1), ['a'])
  await coordinator.submitTask(task('bad'))
  await assert.rejects(coordinator.assignTaskToPeer(task('c', { dependencies: ['bad'] })), failsWith('DependencyFailed'))
  assert.equal((await coordinator.awaitTask('c')).state, 'failed')
  assert.equal((await coordinator.awaitTask('b')).result, 'b')
  const { completedTasks, failedTasks, totalTasks, pendingTasks, runningTasks } = coordinator.getMetrics()
  assert.deepEqual({ completedTasks, failedTasks, totalTasks, pendingTasks, runningTasks }, { completedTasks: 2, failedTasks: 2, totalTasks: 4, pendingTasks: 0, runningTasks: 0 })
})

test('peers are what the seed says: neighbours are a set, sessions have their methods', async t => {
  const open = signal()
  const coordinator = await started(t, () => open.promise, { peerCount: 3, swarmId: 's', capabilities: ['x'], maxConcurrentTasksPerPeer: 2 })
  assert.equal(coordinator.isReady(), true)
  assert.deepEqual(coordinator.getActivePeers().map(peer => peer.id), ['s-peer-1', 's-peer-2', 's-peer-3'])
  assert.deepEqual(coordinator.getActiveAgents(), ['s-peer-1', 's-peer-2', 's-peer-3'])
  assert.deepEqual(await coordinator.findPeersByCapabilities(['x']), ['s-peer-1', 's-peer-2', 's-peer-3'])
  assert.deepEqual(await coordinator.findPeersByCapabilities(['y']), [])
  const id = await coordinator.assignTaskToPeer(task('t'))
  await until(() => coordinator.getAgentState(id) === 'working')
  const peer = coordinator.getPeer(id)
  assert.ok(peer.neighbors instanceof Set)
  assert.deepEqual([...peer.neighbors, id].sort(), ['s-peer-1', 's-peer-2', 's-peer-3'])
  assert.deepEqual([peer.load, peer.state, peer.capabilities, peer.session.agentId, peer.session.kind], [1, 'working', ['x'], id, 'function'])
  assert.deepEqual(peer.metrics, { successRate: 1, averageResponseTime: 0, tasksCompleted: 0, tasksFailed: 0 })
  assert.ok(peer.lastSeen > 1e12 && peer.session.startedAt > 1e12)
  const session = coordinator.getAgentSession(id)
  await session.pause('budget')
  assert.deepEqual([coordinator.getAgentState(id), coordinator.getPausedAgents()], ['paused', [id]])
  await session.resume()
  assert.deepEqual(coordinator.getPausedAgents(), [])
  const checkpoint = await session.checkpoint()
  assert.equal(coordinator.getAgentSession(id).checkpointId, checkpoint)
  await session.cancel('changed my mind')
  assert.equal((await coordinator.awaitTask('t')).state, 'failed')
  await session.terminate()
  assert.equal(coordinator.getPeer(id).state, 'terminated')
  assert.equal(coordinator.getActivePeers().length, 2)
  await coordinator.spawnAgent({ id, capabilities: ['z'], agent: () => 'back' })
  await assert.rejects(session.pause(), failsWith('SessionOver', session.id))
  assert.equal(coordinator.getPeer('nobody'), undefined)
  assert.equal(coordinator.getAgentSession('nobody'), undefined)
  assert.equal(coordinator.getAgentState('nobody'), undefined)
  open.resolve()
})

test('agents come and go while it runs', async t => {
  const coordinator = await started(t, () => 'first', { swarmId: 's', capabilities: ['a'] })
  assert.equal(await coordinator.spawnAgent({ capabilities: ['b'], agent: () => 'second', maxConcurrentTasks: 2 }), 's-peer-2')
  assert.equal(await coordinator.spawnAgent({ id: 'carol', capabilities: ['c'], agent: { run: async () => 'third' } }), 'carol')
  assert.equal(await coordinator.assignTaskToPeer(task('t', { requiredCapabilities: ['c'] })), 'carol')
  assert.equal((await coordinator.awaitTask('t')).result, 'third')
  await assert.rejects(coordinator.spawnAgent({ id: 'carol', capabilities: [], agent: () => 1 }), failsWith('PeerTaken', 'carol'))
  for (const agent of [undefined, null, 5, {}, { run: 5 }, { run() {}, wake() {} }, { run() {}, wakeIntervalMs: 5 }, { run() {}, wakeTimeoutMs: 5 }, { run() {}, wake() {}, wakeIntervalMs: 5, wakeTimeoutMs: 0 }, { kind: 'shell', command: ['x'] }, { kind: 'command' }, { kind: 'command', command: ['x'], env: { A: 1 } }, { kind: 'acp' }, { kind: 'shell', run() {} }]) {
    await assert.rejects(coordinator.spawnAgent({ capabilities: [], agent }), failsWith('InvalidArgument', 'config.agent'))
  }
  await assert.rejects(coordinator.spawnAgent({ capabilities: 'x', agent: () => 1 }), failsWith('InvalidArgument', 'capabilities'))
  await coordinator.terminateAgent('carol', 'done')
  await assert.rejects(coordinator.assignTaskToPeer(task('u', { requiredCapabilities: ['c'] })), failsWith('NoCapablePeer', '"c"'))
  const closed = await started(t, () => 1, { enablePeerDiscovery: false })
  await assert.rejects(closed.spawnAgent({ capabilities: [], agent: () => 1 }), failsWith('DiscoveryDisabled'))
})

test('peers are made of the definitions of the controller, in turn; with none there is nothing to start', async t => {
  const queryController = createQueryController({ agents: [{ capabilities: ['even'], agent: () => 1 }, { capabilities: ['odd'], agent: () => 2 }] })
  const coordinator = createMeshCoordinator({ peerCount: 3, swarmId: 's' }, dependencies({ queryController }))
  t.after(() => coordinator.cleanup())
  assert.equal(coordinator.isReady(), false)
  await assert.rejects(coordinator.assignTaskToPeer(task('t')), failsWith('NotInitialized'))
  await coordinator.initialize()
  assert.deepEqual(coordinator.getActivePeers().map(peer => peer.capabilities[0]), ['even', 'odd', 'even'])
  await queryController.pauseAgent('s-peer-1')
  assert.deepEqual(coordinator.getPausedAgents(), ['s-peer-1'])
  await queryController.resumePeers(['s-peer-1'])
  assert.deepEqual(coordinator.getPausedAgents(), [])
  await assert.rejects(queryController.pausePeers(['s-peer-2', 'nobody']), failsWith('Several', 'nobody'))
  assert.deepEqual(coordinator.getPausedAgents(), ['s-peer-2'])
  const none = createMeshCoordinator({}, dependencies())
  await assert.rejects(none.initialize(), failsWith('NoAgentDefinition', '3 peers'))
  await none.cleanup()
  for (const agents of [5, [5], [{ capabilities: [] }], [{ capabilities: [], agent: 5 }], [{ agent: () => 1 }]]) {
    assert.throws(() => createQueryController({ agents }), failsWith('InvalidConfig', 'config.agents'))
  }
  assert.throws(() => createQueryController({ agent: [] }), failsWith('InvalidConfig', 'agent'))
})

test('a wrong configuration is refused, and its field is named', () => {
  const wrong = [
    ['swarmId', 5], ['swarmId', '-x'], ['swarmId', '\ud800'], ['peerCount', 0], ['peerCount', 1.5], ['peerCount', '3'], ['peerCount', NaN], ['peerCount', null],
    ['maxConcurrentTasksPerPeer', 0], ['enablePeerDiscovery', 1], ['enableLoadBalancing', 'no'], ['discoveryIntervalMs', 0],
    ['discoveryIntervalMs', -1], ['completionTimeoutMs', 0], ['completionTimeoutMs', 0.5], ['completionTimeoutMs', Infinity], ['artifactStoragePath', 5],
    ['enableAutoRebalance', null], ['rebalanceIntervalMs', 0], ['loadImbalanceThreshold', 0.9], ['loadImbalanceThreshold', 'x'],
    ['pauseIdleAfterMs', -1], ['topology', 'ring'], ['branching', 0], ['typo', 1], ['messageBusConfig', 5],
  ]
  const deps = dependencies()
  for (const [field, value] of wrong) {
    const make = () => createMeshCoordinator({ [field]: value }, deps)
    assert.throws(make, error => failsWith('InvalidConfig', field)(error) && error.field === field, `${field}: ${String(value)}`)
  }
  for (const [field, inner, value] of [['messageBusConfig', 'maxQueueSize', 0], ['messageBusConfig', 'maxQueueSize', 'x'], ['hierarchicalConfig', 'minWorkers', 0], ['hierarchicalConfig', 'minWorkers', 1.5], ['consensusConfig', 'threshold', 2], ['consensusConfig', 'quorumSize', 'x']]) {
    assert.throws(() => createMeshCoordinator({ [field]: { [inner]: value } }, deps), failsWith('InvalidConfig', inner), inner)
  }
  for (const config of [null, 5, []]) assert.throws(() => createMeshCoordinator(config, deps), failsWith('InvalidConfig', 'config'))
  for (const name of Object.keys(deps)) {
    for (const garbage of [undefined, null, 5, {}]) {
      assert.throws(() => createMeshCoordinator({}, { ...deps, [name]: garbage }), failsWith('InvalidDependency', name))
    }
  }
})

test('an agent that is an object goes back to a checkpoint, each peer to its own', async t => {
  class Counts {
    counts = new Map()
    run(_task, { peerId }) {
      this.counts.set(peerId, (this.counts.get(peerId) ?? 0) + 1)
      return this.counts.get(peerId)
    }
    async checkpoint(peerId) {
      return { count: this.counts.get(peerId) ?? 0 }
    }
    restore({ count }, peerId) {
      this.counts.set(peerId, count)
    }
  }
  const coordinator = await started(t, new Counts(), { peerCount: 2, swarmId: 's' })
  const run = async (id, peer) => {
    await coordinator.assignTaskToPeer(task(id, { assignedPeer: peer }))
    const { result, assignedPeer } = await coordinator.awaitTask(id)
    assert.equal(assignedPeer, peer)
    return result
  }
  assert.equal(await run('a', 's-peer-1'), 1)
  assert.equal(await run('b', 's-peer-2'), 1)
  const first = await coordinator.createCheckpoint('s-peer-1')
  assert.equal(await run('c', 's-peer-1'), 2)
  await coordinator.restoreCheckpoint('s-peer-1', first)
  assert.equal(await run('d', 's-peer-1'), 2)
  assert.equal(await run('e', 's-peer-2'), 2)
  await coordinator.pauseAgent('s-peer-1')
  await coordinator.resumeAgent('s-peer-1', first)
  assert.equal(await run('f', 's-peer-1'), 2)
  const [kept, ...others] = await coordinator.listCheckpoints('s-peer-1')
  assert.deepEqual([kept.id, kept.agentId, typeof kept.createdAt, kept.tokensUsed, others], [first, 's-peer-1', 'number', 0, []])
  await assert.rejects(coordinator.restoreCheckpoint('s-peer-1', 'cp-0'), failsWith('UnknownCheckpoint', 'cp-0'))
  await assert.rejects(coordinator.resumeAgent('s-peer-2', first), failsWith('UnknownCheckpoint', first))
})

test('checkpoints that throw, or are no JSON, are errors that say so', async t => {
  const agent = { run() {}, checkpoint: () => { throw new Error('not now') }, restore() {} }
  const coordinator = await started(t, agent, { swarmId: 's' })
  await assert.rejects(coordinator.createCheckpoint('s-peer-1'), failsWith('AgentFailed', 'not now'))
  agent.checkpoint = () => new Map()
  await assert.rejects(coordinator.createCheckpoint('s-peer-1'), failsWith('AgentFailed', 'a Map'))
  agent.checkpoint = () => ({ at: 1 })
  const checkpoint = await coordinator.createCheckpoint('s-peer-1')
  agent.restore = async () => { throw new Error('stuck') }
  await assert.rejects(coordinator.restoreCheckpoint('s-peer-1', checkpoint), failsWith('AgentFailed', 'stuck'))
})

test('an idle agent is paused, woken by its schedule when it is not, and work resumes it', async t => {
  const paused = await started(t, () => 'up', { pauseIdleAfterMs: 1, swarmId: 's' })
  await paused.submitTask(task('a'))
  await paused.awaitTask('a')
  await until(() => paused.getPausedAgents().length === 1)
  await paused.assignTaskToPeer(task('b'))
  assert.equal((await paused.awaitTask('b')).result, 'up')
  const woken = signal()
  const agent = { run() {}, wakeIntervalMs: 1, wake: peerId => { woken.resolve(peerId); return { inputTokens: 7, outputTokens: 3 } } }
  const never = await started(t, agent, { pauseIdleAfterMs: null, swarmId: 'w' })
  await never.assignTaskToPeer(task('t'))
  assert.equal(await woken.promise, 'w-peer-1')
  await until(() => never.deps.queryController.getTokenSavings('w-peer-1').total >= 10)
  assert.deepEqual(never.getPausedAgents(), [])
})

test('tokens are counted, of attempts and outside of them', async t => {
  const coordinator = await started(t, async (_task, { usage }) => {
    await usage({ inputTokens: 10, outputTokens: 5 })
    await usage({ inputTokens: 20, outputTokens: 5 })
  }, { swarmId: 's' })
  await coordinator.submitTask(task('t'))
  await coordinator.awaitTask('t')
  coordinator.updateTokenUsage('s-peer-1', { inputTokens: 100, outputTokens: 0 })
  coordinator.updateTokenUsage('nobody', { inputTokens: 100, outputTokens: 0 })
  assert.equal(coordinator.getMetrics().totalTokensUsed, 125)
  assert.equal(coordinator.getAgentSession('s-peer-1').tokensUsed, 125)
  assert.equal(coordinator.deps.queryController.getTokenSavings('s-peer-1').total, 125)
  assert.equal(coordinator.deps.queryController.getMeshTokenSavings('s').total, 125)
})

test('metrics are those of the seed, and compare with what happened', async t => {
  const coordinator = await started(t, (_task, { send }) => send('b', { type: 'x', payload: 1 }), { peerCount: 2, swarmId: 's' })
  let got = 0
  coordinator.deps.messageBus.onPeerMessage('b', () => { got += 1 })
  for (let n = 0; n < 10; n += 1) await coordinator.submitTask(task(`t${n}`))
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  const metrics = coordinator.getMeshMetrics()
  assert.equal(got, 10)
  assert.deepEqual([metrics.messagesSent, metrics.messagesReceived, metrics.completedTasks, metrics.totalPeers], [10, 10, 10, 2])
  const peers = ['s-peer-1', 's-peer-2'].map(id => coordinator.getPeer(id).metrics.tasksCompleted)
  assert.equal(peers[0] + peers[1], 10)
  const names = ['totalAgents', 'activeAgents', 'pausedAgents', 'totalTasks', 'pendingTasks', 'runningTasks', 'completedTasks', 'failedTasks', 'totalTokensUsed', 'uptimeMs']
  assert.deepEqual(Object.keys(coordinator.getMetrics()), names)
  for (const value of Object.values(metrics)) assert.ok(Number.isFinite(value) && value >= 0)
})

test('completion: false while something can not go on, and true later', async t => {
  const coordinator = await started(t, () => 1, { swarmId: 's', completionTimeoutMs: 20 })
  await coordinator.pauseAgent('s-peer-1')
  await coordinator.submitTask(task('t'))
  assert.equal(await coordinator.waitForMeshCompletion(), false)
  await coordinator.resumeAgent('s-peer-1')
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  await coordinator.rebalanceMesh()
})

test('a hierarchy has a queen and votes; a mesh has none', async t => {
  const agents = [{ capabilities: [], agent: (_task, { peerId }) => peerId }]
  const tree = await started(t, undefined, { agents, peerCount: 4, topology: 'hierarchical', branching: 3, swarmId: 's', consensusConfig: { protocol: 'quorum', quorumSize: 4, threshold: 0.6, timeoutMs: 5_000 } })
  assert.equal(tree.queen(), 's-peer-1')
  assert.deepEqual(tree.getPeer('s-peer-1').neighbors, new Set(['s-peer-2', 's-peer-3', 's-peer-4']))
  assert.deepEqual(tree.getPeer('s-peer-2').neighbors, new Set(['s-peer-1']))
  const votes = [() => true, async () => ({ approve: true, reason: 'fine' }), () => { throw new Error('no idea') }, () => 'garbage']
  votes.forEach((vote, index) => tree.registerVoter(`s-peer-${index + 1}`, vote))
  assert.throws(() => tree.registerVoter('s-peer-1', () => true), failsWith('ConsensusFailed', 'registered already'))
  const decision = await tree.propose({ change: 'roof' })
  assert.equal(decision.approved, false)
  assert.deepEqual(decision.votes.map(vote => vote.approve), [true, true, false, false])
  assert.match(decision.votes[2].reason, /no idea/)
  const mesh = await started(t, () => 1)
  assert.equal(mesh.queen(), undefined)
  await assert.rejects(mesh.propose({}), failsWith('ConsensusDisabled'))
  assert.throws(() => mesh.registerVoter('x', () => true), failsWith('ConsensusDisabled'))
})

test('a coordinator with a path goes on where another ended', async t => {
  const path = mkdtempSync(join(tmpdir(), 'meshwork-state-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  const artifactStorage = meshwork.createArtifactStorage({ path: join(path, 'artifacts') })
  const first = await started(t, () => new Promise(() => {}), { artifactStoragePath: path, swarmId: 's' }, { artifactStorage })
  await first.assignTaskToPeer(task('t'))
  await until(() => first.getMetrics().runningTasks === 1)
  await first.cleanup()
  const second = await started(t, ({ id, createdAt }) => ({ id, createdAt }), { artifactStoragePath: path, swarmId: 's' }, { artifactStorage })
  const done = await second.awaitTask('t')
  assert.deepEqual(done.result, { id: 't', createdAt: done.createdAt })
  assert.equal(second.getPeer('s-peer-1').metrics.tasksFailed, 0, 'an interrupted attempt is no failure')
})

const SCRIPT = `
const m = require('meshwork')
const task = id => ({ id, type: 't', description: '', requiredCapabilities: [], priority: 5, dependencies: [], state: 'pending', createdAt: 1 })
const deps = () => ({ messageBus: m.createMessageBroker(), queryController: m.createQueryController(), artifactStorage: m.createArtifactStorage(), swarmMemory: m.createSwarmMemory(), logger: m.createLogger({ level: 'warn' }) })
const make = (agent, more) => m.createMeshCoordinator({ peerCount: 3, agents: [{ capabilities: [], agent }], ...more }, deps())
`

test('after cleanup nothing keeps Node alive, and the methods say that it is over', async () => {
  const { code, out, err } = await run(`${SCRIPT}
    const c = make(() => new Promise(done => setTimeout(done, 5, 'x')), { discoveryIntervalMs: 10, rebalanceIntervalMs: 10 })
    const main = async () => {
      await c.initialize()
      for (let n = 0; n < 20; n += 1) await c.submitTask(task('t' + n))
      console.log(await c.waitForMeshCompletion(), c.getMetrics().completedTasks)
      const waits = c.awaitTask('t1')
      await c.submitTask(task('never'))
      await Promise.all([c.cleanup(), c.cleanup()])
      await c.cleanup()
      console.log((await waits).result, c.isReady(), c.getActivePeers(), c.getMeshMetrics().completedTasks, c.getPeer('x'), c.queen())
      await c.submitTask(task('late')).catch(error => console.log(error.code))
      await c.initialize().catch(error => console.log(error.code))
    }
    main()
  `)
  assert.deepEqual([code, out, err], [0, 'true 20\nx false [] 0 undefined undefined\nClosing\nClosing\n', ''])
})

test('one that is not cleaned up does not keep Node alive when it has nothing to do', async () => {
  const { code, out, err } = await run(`${SCRIPT}
    const c = make(() => 'x', { discoveryIntervalMs: 10, rebalanceIntervalMs: 10 })
    c.initialize().then(() => c.assignTaskToPeer(task('t'))).then(() => c.awaitTask('t')).then(t => console.log(t.result))
    make(() => 1)
  `)
  assert.deepEqual([code, out, err], [0, 'x\n', ''])
})

test('work that was handed in keeps Node alive until it is done', async () => {
  const { code, out, err } = await run(`${SCRIPT}
    let done = 0
    const c = make(async ({ id }) => { done += 1; if (done === 50) console.log('all') })
    const main = async () => {
      await c.initialize()
      for (let n = 0; n < 50; n += 1) c.submitTask(task('t' + n))
    }
    main()
  `)
  assert.deepEqual([code, out, err], [0, 'all\n', ''])
})

test('ending in the middle of things is no crash', async () => {
  const { code, out, err } = await run(`${SCRIPT}
    let ran = 0
    const c = make(async () => { ran += 1; if (ran === 100) process.exit(7) })
    c.initialize().then(async () => { for (let n = 0; ; n += 1) await c.submitTask(task('t' + n)) })
  `)
  assert.deepEqual([code, out, err], [7, '', ''])
})

test('a coordinator that is ended while it starts does not start', async () => {
  const told = []
  const log = message => { told.push(message) }
  const asked = signal()
  const open = signal()
  class Slow extends TheirBroker {
    async publish(topic, message) {
      asked.resolve()
      await open.promise
      return super.publish(topic, message)
    }
  }
  const given = { messageBus: new Slow(), logger: { debug: log, info: log, warn: log, error: log } }
  const coordinator = createMeshCoordinator({ agents: [{ capabilities: [], agent: () => 1 }] }, dependencies(given))
  const starts = assert.rejects(coordinator.initialize(), failsWith('Closing'))
  await asked.promise
  await coordinator.cleanup()
  open.resolve()
  await starts
  assert.equal(coordinator.isReady(), false)
  await assert.rejects(coordinator.initialize(), failsWith('Closing'))
  assert.deepEqual(told, [])
})

test('a coordinator that could not start may be started again', async t => {
  const messageBus = meshwork.createMessageBroker()
  const queryController = createQueryController()
  const path = mkdtempSync(join(tmpdir(), 'meshwork-state-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  const config = { agents: [{ capabilities: [], agent: () => 1 }], artifactStoragePath: path, swarmId: 's', peerCount: 1 }
  const first = createMeshCoordinator(config, dependencies({ messageBus, queryController }))
  const second = createMeshCoordinator(config, dependencies())
  t.after(() => Promise.all([first.cleanup(), second.cleanup()]))
  await first.initialize()
  await assert.rejects(second.initialize(), failsWith('StateUnusable'))
  await first.cleanup()
  await second.initialize()
  await second.submitTask(task('t'))
  assert.equal((await second.awaitTask('t')).result, 1)
})

test('two coordinators share their dependencies, and each sends over its own bus', async t => {
  const shared = dependencies({ queryController: createQueryController({ agents: [{ capabilities: [], agent: (_task, { send }) => send('listener', { type: 'x', payload: 1 }) }] }) })
  const buses = [shared.messageBus, meshwork.createMessageBroker()]
  const counts = [0, 0]
  const all = buses.map((messageBus, index) => {
    messageBus.onPeerMessage('listener', () => { counts[index] += 1 })
    return createMeshCoordinator({ swarmId: `s${index}`, peerCount: 2 }, { ...shared, messageBus })
  })
  t.after(() => Promise.all(all.map(one => one.cleanup())))
  await Promise.all(all.map(one => one.initialize()))
  for (const [index, one] of all.entries()) {
    for (let n = 0; n <= index; n += 1) await one.submitTask(task(`t${n}`))
    assert.equal(await one.waitForMeshCompletion(), true)
  }
  assert.deepEqual(counts, [1, 2])
})

test('without load balancing the first peer by id gets the work', async t => {
  const coordinator = await started(t, () => 1, { peerCount: 3, swarmId: 's', enableLoadBalancing: false, maxConcurrentTasksPerPeer: 100 })
  for (let n = 0; n < 5; n += 1) assert.equal(await coordinator.assignTaskToPeer(task(`t${n}`)), 's-peer-1')
})
