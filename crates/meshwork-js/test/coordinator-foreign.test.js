'use strict'
// A coordinator over objects that somebody else wrote, who knows the seed alone: each, and all of them.

const { assert, test, signal, failsWith } = require('./support.js')
const { TheirArtifacts } = require('./their-artifacts.js')
const { TheirBroker } = require('./their-broker.js')
const { calls } = require('../lib/calls.js')
const { meshwork, SILENT, task, dependencies, started, until } = require('./world.js')

class TheirMemory {
  states = new Map()
  loads = new Map()
  async remember() {
    return 'id'
  }
  async recall() {
    return []
  }
  async shareMemory() {}
  async sharePeerState(peerId, state) {
    this.states.set(peerId, state)
  }
  async queryMeshPeers() {
    return [...this.states.values()]
  }
  async updatePeerLoad(peerId, load) {
    this.loads.set(peerId, load)
  }
  async getPeerLoad(peerId) {
    return this.loads.get(peerId)
  }
}

class TheirController {
  called = []
  async pauseAgent(...given) {
    this.called.push(['pauseAgent', ...given])
  }
  async resumeAgent(...given) {
    this.called.push(['resumeAgent', ...given])
  }
  async pausePeers() {}
  async resumePeers() {}
  getTokenSavings() {
    return { saved: 1, total: 3, percentage: 25, pauseDurationMs: 0, activeDurationMs: 0 }
  }
  getMeshTokenSavings() {
    return this.getTokenSavings()
  }
}

const theirs = () => ({
  messageBus: new TheirBroker(),
  artifactStorage: new TheirArtifacts(),
  swarmMemory: new TheirMemory(),
  queryController: new TheirController(),
})

/** Works over these, in every part of a coordinator that uses them. */
async function works(t, given) {
  const coordinator = await started(t, ({ id, input }) => (input === 'large' ? 'x'.repeat(100_000) : id), { peerCount: 3, swarmId: 's', pauseIdleAfterMs: null }, given)
  for (let n = 0; n < 20; n += 1) await coordinator.assignTaskToPeer(task(`t${n}`))
  await coordinator.submitTask(task('large', { input: 'large' }))
  assert.equal((await coordinator.awaitTask('large')).result.length, 100_000)
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  assert.equal(coordinator.getMetrics().completedTasks, 21)
  await coordinator.pauseAgent('s-peer-2')
  await coordinator.resumeAgent('s-peer-2')
  const checkpoint = await coordinator.createCheckpoint('s-peer-1')
  await coordinator.restoreCheckpoint('s-peer-1', checkpoint)
  return coordinator
}

for (const name of ['messageBus', 'artifactStorage', 'swarmMemory', 'queryController']) {
  test(`with a ${name} of somebody else`, async t => {
    await works(t, { [name]: theirs()[name] })
  })
}

test('with nothing of ours, each is used as the seed says', async t => {
  const given = theirs()
  const coordinator = await works(t, given)
  assert.deepEqual(given.queryController.called, [['pauseAgent', 's-peer-2'], ['resumeAgent', 's-peer-2', undefined]])
  assert.equal(coordinator.getMeshMetrics().tokenSavingsPercentage, 25)
  assert.ok([...given.artifactStorage.all.keys()].some(key => key.startsWith('results/large/')))
  assert.ok([...given.artifactStorage.all.keys()].some(key => key.startsWith('checkpoints/')))
  await until(() => given.swarmMemory.states.get('s-peer-1')?.state === 'idle' && given.swarmMemory.loads.get('s-peer-1') === 0)
  assert.deepEqual(Object.keys(given.swarmMemory.states.get('s-peer-1').metrics).sort(), ['averageResponseTime', 'successRate', 'tasksCompleted', 'tasksFailed'])
  await coordinator.cleanup()
})

test('a logger is told with message and context, and nothing after cleanup', async t => {
  const told = []
  const logger = Object.fromEntries(Object.keys(SILENT).map(level => [level, (message, context) => { told.push({ level, message, context }) }]))
  const coordinator = await started(t, () => 1, { swarmId: 's', pauseIdleAfterMs: 1 }, { logger })
  await coordinator.assignTaskToPeer(task('t'))
  await until(() => coordinator.getPausedAgents().length === 1)
  await coordinator.cleanup()
  const { level, message, context } = told[0]
  assert.deepEqual([level, message, context.peers, context.swarmId], ['info', 'the coordinator is initialized', ['s-peer-1'], 's'])
  assert.ok(told.some(line => line.level === 'debug' && line.message === 'an idle agent'))
  assert.equal(told.at(-1).message, 'the coordinator ends')
  const count = told.length
  for (let n = 0; n < 100; n += 1) await new Promise(setImmediate)
  assert.equal(told.length, count)
  const lines = []
  const own = meshwork.createLogger({ level: 'info', write: line => { lines.push(JSON.parse(line)) } })
  const other = await started(t, () => 1, { swarmId: 'o' }, { logger: own })
  await other.cleanup()
  assert.deepEqual(lines.map(line => line.msg), ['the coordinator is initialized', 'the coordinator ends'])
})

test('a logger that throws, or rejects, hinders nobody', async t => {
  const warnings = []
  const hear = warning => { warnings.push(warning.code) }
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  const broken = { debug() { throw new Error('x') }, info: async () => { throw new Error('y') }, warn() { throw undefined }, error() {} }
  const coordinator = await started(t, () => 1, {}, { logger: broken })
  await coordinator.assignTaskToPeer(task('t'))
  assert.equal(await coordinator.waitForMeshCompletion(), true)
  await coordinator.cleanup()
  await until(() => warnings.includes('CallbackFailed'))
})

test('a message bus that refuses everything fails the start, and says why', async t => {
  const messageBus = new TheirBroker()
  messageBus.subscribe = () => { throw new Error('no topics today') }
  const deps = dependencies({ messageBus })
  const coordinator = meshwork.createMeshCoordinator({ agents: [{ capabilities: [], agent: () => 1 }] }, deps)
  t.after(() => coordinator.cleanup())
  await assert.rejects(coordinator.initialize(), failsWith('Foreign', 'no topics today'))
})

test('a storage that fails, or never answers, fails the task whose result it was to keep, and nothing else', async t => {
  calls.foreignWithin(50)
  t.after(() => calls.foreignWithin(30_000))
  const artifactStorage = new TheirArtifacts()
  const coordinator = await started(t, ({ input }) => 'x'.repeat(input), { swarmId: 's', enablePeerDiscovery: false }, { artifactStorage })
  const asked = signal()
  const stores = [async () => { throw new Error('disk on fire') }, () => 'garbage', () => { asked.resolve(); return new Promise(() => {}) }]
  for (const [index, store] of stores.entries()) {
    artifactStorage.store = store
    await coordinator.submitTask(task(`t${index}`, { input: 100_000 }))
    const done = await coordinator.awaitTask(`t${index}`)
    assert.equal(done.state, 'failed')
    assert.match(done.error, /could not be kept/)
  }
  assert.match((await coordinator.getTask('t0')).error, /disk on fire/)
  assert.match((await coordinator.getTask('t2')).error, /did not answer within 50ms/)
  await asked.promise
  await coordinator.submitTask(task('small', { input: 3 }))
  assert.equal((await coordinator.awaitTask('small')).result.length, 3)
})

test('a memory and a controller that never answer, or answer garbage, do not hang the swarm', async t => {
  calls.foreignWithin(50)
  t.after(() => calls.foreignWithin(30_000))
  const never = () => new Promise(() => {})
  const swarmMemory = new TheirMemory()
  const queryController = new TheirController()
  let warned = false
  const logger = { ...SILENT, warn: message => { warned ||= /could not be shared/.test(message) } }
  const coordinator = await started(t, () => 'x', { swarmId: 's' }, { swarmMemory, queryController, logger })
  swarmMemory.sharePeerState = never
  queryController.pauseAgent = never
  await coordinator.submitTask(task('t'))
  assert.equal((await coordinator.awaitTask('t')).result, 'x')
  await until(() => warned)
  await assert.rejects(coordinator.pauseAgent('s-peer-1'), failsWith('ControllerFailed', 'did not answer'))
  for (const savings of [undefined, 'much', () => { throw new Error('no') }, Promise.resolve(1)]) {
    queryController.getMeshTokenSavings = typeof savings === 'function' ? savings : () => savings
    assert.equal(coordinator.getMeshMetrics().tokenSavingsPercentage, 0)
  }
})

test('a controller that asks the coordinator while it is asked gets an answer', async t => {
  const queryController = new TheirController()
  const coordinator = await started(t, () => 'x', { swarmId: 's' }, { queryController })
  let depth = 0
  queryController.getMeshTokenSavings = () => {
    depth += 1
    const { totalAgents } = depth < 3 ? coordinator.getMeshMetrics() : { totalAgents: 1 }
    return { saved: 0, total: 0, percentage: totalAgents, pauseDurationMs: 0, activeDurationMs: 0 }
  }
  assert.equal(coordinator.getMeshMetrics().tokenSavingsPercentage, 1)
  assert.equal(depth, 3)
})

test('one answer that can not be read is a failure of its call alone', async t => {
  const storage = new TheirArtifacts()
  let deep = []
  for (let n = 0; n < 2_000; n += 1) deep = [deep]
  storage.stat = () => deep
  const coordinator = await started(t, () => 'x', { swarmId: 's' }, { artifactStorage: storage })
  const checkpoint = await coordinator.createCheckpoint('s-peer-1')
  const asked = [coordinator.restoreCheckpoint('s-peer-1', checkpoint), coordinator.listCheckpoints('s-peer-1')]
  await assert.rejects(asked[0], failsWith('ArtifactFailed', "can't be used"))
  assert.equal((await asked[1]).length, 1)
})
