'use strict'
// Dependencies that are written in JavaScript: what they are asked, and what happens when they are not as they should be.

const { createDistributedCompletionDetector } = require('meshwork')
const { foreignArtifacts, foreignBroker, foreignController, foreignMemory } = require('../lib/foreign.js')
const { native } = require('../lib/native.js')
const { opened } = require('../lib/errors.js')
const { TheirBroker } = require('./their-broker.js')
const { assert, test, message, signal, collector, failsWith, until } = require('./support.js')

const FAST = { probeRetryIntervalMs: 1, maxProbeRetries: 1_000_000 }

test('the detector works over a broker that is written in JavaScript', async () => {
  const messageBus = new TheirBroker()
  const detector = createDistributedCompletionDetector(FAST, { messageBus })
  await detector.initialize(['a', 'b'])
  assert.deepEqual([...messageBus.hooks.publish.keys()], ['a', 'b'], 'its hooks are there when initialize has resolved')
  const [begun, open] = [signal(), signal()]
  messageBus.onPeerMessage('b', async () => {
    begun.resolve()
    await open.promise
  })
  await messageBus.sendToPeer('a', 'b', message(1))
  await begun.promise
  const detection = detector.detectCompletion('swarm', 60_000)
  let answered = false
  detection.then(() => { answered = true })
  await until(() => detector.getDeficitCounter('a') === 1)
  assert.equal(detector.isPeerCompleted('a'), false)
  assert.equal(answered, false)
  open.resolve()
  assert.equal(await detection, true)
  const { totalProbesSent, totalAcksReceived } = detector.getMetrics()
  assert.ok(totalProbesSent >= 2 && totalAcksReceived >= 2)
  assert.equal(messageBus.topics.get('mesh.swarm.completion').length, 1)
})

test('probes that a broker loses are sent again every probeRetryIntervalMs, maxProbeRetries times', async () => {
  for (const maxProbeRetries of [0, 3]) {
    const messageBus = new TheirBroker()
    messageBus.loses = () => true
    const config = { probeRetryIntervalMs: 1, maxProbeRetries, defaultTimeoutMs: 3_600_000 }
    const detector = createDistributedCompletionDetector(config, { messageBus })
    await detector.initialize(['a'])
    assert.equal(await detector.detectCompletion('swarm'), false)
    const probes = messageBus.called.filter(name => name === 'publish').length
    assert.equal(probes, maxProbeRetries + 1)
    assert.equal(detector.getMetrics().totalProbesSent, probes)
    assert.equal(detector.getMetrics().totalAcksReceived, 0)
  }
})

test('a broker whose hooks throw makes initialize reject with what it said', async () => {
  for (const broken of ['onPublish', 'onAcknowledge']) {
    const messageBus = new TheirBroker()
    messageBus[broken] = () => { throw new Error(`no ${broken} today`) }
    const detector = createDistributedCompletionDetector({}, { messageBus })
    await assert.rejects(detector.initialize(['a']), failsWith('Foreign', `no ${broken} today`))
  }
})

test('a broker that refuses the subscription makes detectCompletion reject with what it said', async () => {
  const messageBus = new TheirBroker()
  messageBus.subscribe = async () => { throw Object.assign(new Error('no more topics'), { code: 'QuotaExceeded' }) }
  const detector = createDistributedCompletionDetector({}, { messageBus })
  await detector.initialize(['a'])
  await assert.rejects(detector.detectCompletion('swarm'), failsWith('QuotaExceeded', 'no more topics'))
})

test('a broker whose publish rejects, throws garbage or never resolves ends a detection with false', async () => {
  const thrown = [new Error('down'), undefined, 'text', Symbol('s'), { get message() { throw new Error('not even this') } }, new Proxy({}, { get() { throw new Error('trap') } })]
  const publishes = [...thrown.map(each => () => { throw each }), ...thrown.map(each => () => Promise.reject(each)), () => new Promise(() => {}), () => ({ then() { throw new Error('no then') } })]
  for (const publish of publishes) {
    const messageBus = new TheirBroker()
    messageBus.publish = publish
    const detector = createDistributedCompletionDetector({ probeRetryIntervalMs: 1, maxProbeRetries: 2 }, { messageBus })
    await detector.initialize(['a'])
    assert.equal(await detector.detectCompletion('swarm', 60_000), false)
  }
})

test('handlers that a broker calls with garbage reject, and nothing else happens', async () => {
  const messageBus = new TheirBroker()
  const detector = createDistributedCompletionDetector(FAST, { messageBus })
  await detector.initialize(['a'])
  assert.equal(await detector.detectCompletion('swarm'), true)
  const [handler] = messageBus.topics.get('mesh.swarm.completion')
  for (const garbage of [undefined, null, 5, 'text', {}, { type: 'x' }]) {
    await assert.rejects(handler(garbage), failsWith('InvalidMessage'))
  }
  await assert.rejects(handler(message(1, { type: 'completion-probe' })), failsWith('HandlerFailed', 'no completion probe'))
  await handler(message('something else on this topic'))
  assert.equal(await detector.detectCompletion('swarm'), true)
  // An acknowledgement of nothing may be one that was told too early: it never makes a "true" of what is not.
  for (const hook of messageBus.hooks.acknowledge.get('a')) hook()
  assert.equal(await detector.detectCompletion('swarm', 5), false)
  for (const hook of messageBus.hooks.publish.get('a')) hook()
  assert.equal(await detector.detectCompletion('swarm'), true)
})

test('the same foreign object is one broker, for whoever has it', () => {
  const messageBus = new TheirBroker()
  assert.equal(foreignBroker(messageBus), foreignBroker(messageBus))
})

/** What a part of the mesh sees of a storage: the trait, called from Rust. */
function seen(storage) {
  const adapter = foreignArtifacts(storage)
  const artifacts = native.Artifacts.over(adapter.any())
  return {
    adapter,
    store: async (key, bytes) => opened(await artifacts.store(key, bytes)),
    retrieve: async key => {
      const found = await artifacts.retrieve(key)
      return typeof found === 'string' ? opened(found) : found
    },
    delete: async key => opened(await artifacts.delete(key)),
    list: async prefix => opened(await artifacts.list(prefix)),
    stat: async key => opened(await artifacts.stat(key)),
  }
}

class TheirArtifacts {
  all = new Map()
  async store(key, bytes) {
    this.all.set(key, Buffer.from(bytes))
    return { key, size: bytes.length }
  }
  async retrieve(key) {
    if (!this.all.has(key)) throw Object.assign(new Error(`no ${key}`), { code: 'NotFound' })
    return this.all.get(key)
  }
  async delete(key) {
    return this.all.delete(key)
  }
  async list(prefix = '') {
    return [...this.all].filter(([key]) => key.startsWith(prefix)).map(([key, bytes]) => ({ key, size: bytes.length, digest: 'd', storedAt: 5 }))
  }
  async stat(key) {
    return (await this.list(key)).find(info => info.key === key)
  }
}

test('an artifact storage that is written in JavaScript is asked as the trait says', async () => {
  const storage = seen(new TheirArtifacts())
  const info = await storage.store('a/b', Buffer.from([0, 255]))
  assert.deepEqual([info.key, info.size], ['a/b', 2])
  assert.deepEqual(await storage.retrieve('a/b'), Buffer.from([0, 255]))
  await storage.store('empty', Buffer.alloc(0))
  assert.deepEqual(await storage.retrieve('empty'), Buffer.alloc(0))
  assert.deepEqual((await storage.list('a/')).map(each => each.key), ['a/b'])
  assert.deepEqual(await storage.stat('a/b'), { key: 'a/b', size: 2, digest: 'd', storedAt: 5 })
  assert.equal(await storage.stat('other'), null)
  await assert.rejects(storage.retrieve('other'), failsWith('NotFound', 'other'))
  assert.equal(await storage.delete('a/b'), true)
  assert.equal(await storage.delete('a/b'), false)
  await assert.rejects(storage.store('../up', Buffer.from('x')), failsWith('InvalidKey'))
})

test('a storage that answers garbage, throws or rejects is an error that says so', async () => {
  const theirs = new TheirArtifacts()
  const storage = seen(theirs)
  const garbage = [undefined, null, 5, 'text', {}, { key: 'k' }, { key: 'k', size: -1 }, () => {}, 1n]
  for (const answer of garbage) {
    theirs.store = () => answer
    await assert.rejects(storage.store('k', Buffer.from('x')), failsWith('Foreign'))
    theirs.list = () => answer
    await assert.rejects(storage.list(''), failsWith('Foreign'))
  }
  theirs.store = key => ({ key: 'another', size: 1 })
  await assert.rejects(storage.store('k', Buffer.from('x')), failsWith('Foreign', 'another'))
  for (const answer of [null, 'text', { length: 5 }]) {
    theirs.retrieve = () => answer
    await assert.rejects(storage.retrieve('k'), failsWith('NotFound'))
  }
  for (const answer of [5, 'yes', {}, undefined]) {
    theirs.delete = () => answer
    await assert.rejects(storage.delete('k'), failsWith('Foreign', 'delete answered'))
  }
  theirs.stat = () => { throw new Error('disk on fire') }
  await assert.rejects(storage.stat('k'), failsWith('Foreign', 'disk on fire'))
  theirs.stat = () => Promise.reject(null)
  await assert.rejects(storage.stat('k'), failsWith('Foreign', 'null'))
})

class TheirMemory {
  entries = []
  states = new Map()
  loads = new Map()
  async remember(agentId, type, content, metadata = {}) {
    this.given = [agentId, type, content, metadata]
    this.entries.push({ id: `e${this.entries.length}`, agentId, type, content, timestamp: 5, metadata })
    return this.entries.at(-1).id
  }
  async recall(query) {
    this.query = query
    return this.entries
  }
  async shareMemory(entryId) {
    if (entryId !== 'e0') throw Object.assign(new Error('who?'), { code: 'UnknownEntry' })
  }
  async sharePeerState(peerId, state) {
    this.states.set(peerId, state)
  }
  async queryMeshPeers(_swarmId) {
    return [...this.states.values()]
  }
  async updatePeerLoad(peerId, load) {
    this.loads.set(peerId, load)
  }
  async getPeerLoad(peerId) {
    return this.loads.get(peerId)
  }
}

const PEER = { peerId: 'a', capabilities: ['x'], load: 1.5, state: 'idle', activeTasks: [], metrics: { successRate: 1, averageResponseTime: 0, tasksCompleted: 0, tasksFailed: 0 }, lastUpdated: 5 }

test('a memory that is written in JavaScript is asked as the trait says', async () => {
  const theirs = new TheirMemory()
  const adapter = foreignMemory(theirs)
  const memory = native.Memory.over(adapter.any())
  const ask = async (method, ...given) => opened(await memory[method](...given))
  assert.equal(await ask('remember', 'alice', 'knowledge', '{"a":1}', '{"tags":["x"]}'), 'e0')
  assert.deepEqual(theirs.given, ['alice', 'knowledge', { a: 1 }, { tags: ['x'] }])
  await ask('remember', 'alice', 'result', '1', undefined)
  assert.deepEqual(theirs.given[3], {}, 'no metadata is undefined, not null')
  assert.deepEqual((await ask('recall', '{"agentId":"alice"}')).map(entry => entry.id), ['e0', 'e1'])
  assert.deepEqual(theirs.query, { agentId: 'alice' })
  await ask('shareMemory', 'e0', 'bob')
  await assert.rejects(ask('shareMemory', 'e9', 'bob'), failsWith('UnknownEntry', 'e9'))
  await ask('sharePeerState', 'a', JSON.stringify(PEER))
  assert.deepEqual(await ask('meshPeers', 's'), [PEER])
  assert.equal(await ask('peerLoad', 'a'), null)
  await ask('updatePeerLoad', 'a', 2.5)
  assert.equal(await ask('peerLoad', 'a'), 2.5)
})

test('a memory that answers garbage, throws or rejects is an error that says so', async () => {
  const theirs = new TheirMemory()
  const adapter = foreignMemory(theirs)
  const memory = native.Memory.over(adapter.any())
  const ask = async (method, ...given) => opened(await memory[method](...given))
  for (const garbage of [undefined, null, 5, {}, [], () => {}, 1n, new Map()]) {
    theirs.remember = () => garbage
    await assert.rejects(ask('remember', 'a', 'knowledge', '1', undefined), failsWith('Storage'))
  }
  for (const garbage of [undefined, null, 5, {}, ['x'], [{}], [{ ...PEER, type: 'odd' }]]) {
    theirs.recall = () => garbage
    await assert.rejects(ask('recall', '{}'), failsWith('Storage', 'recall answered'))
    theirs.queryMeshPeers = () => garbage
    if (garbage?.[0]?.peerId === undefined) await assert.rejects(ask('meshPeers', 's'), failsWith('Storage', 'queryMeshPeers answered'))
  }
  for (const garbage of ['much', {}, true, NaN]) {
    theirs.getPeerLoad = () => garbage
    await assert.rejects(ask('peerLoad', 'a'), failsWith('Storage'))
  }
  theirs.updatePeerLoad = () => { throw new Error('read only') }
  await assert.rejects(ask('updatePeerLoad', 'a', 1), failsWith('Storage', 'read only'))
  theirs.sharePeerState = () => Promise.reject(undefined)
  await assert.rejects(ask('sharePeerState', 'a', JSON.stringify(PEER)), failsWith('Storage', 'undefined'))
})

const SAVED = { saved: 10, total: 30, percentage: 25, pauseDurationMs: 5, activeDurationMs: 6 }

class TheirController {
  called = []
  async pauseAgent(...given) {
    this.called.push(['pauseAgent', ...given])
  }
  async resumeAgent(...given) {
    this.called.push(['resumeAgent', ...given])
  }
  async pausePeers(...given) {
    this.called.push(['pausePeers', ...given])
  }
  async resumePeers(...given) {
    this.called.push(['resumePeers', ...given])
  }
  getTokenSavings(agentId) {
    return agentId === 'a' ? SAVED : { ...SAVED, saved: 0 }
  }
  getMeshTokenSavings() {
    return SAVED
  }
}

test('a controller that is written in JavaScript is asked as the trait says, and at once where that is not asynchronous', async () => {
  const theirs = new TheirController()
  const adapter = foreignController(theirs)
  const controller = native.Controller.over(adapter.any())
  const ask = async (method, ...given) => opened(await controller[method](...given))
  await ask('pauseAgent', 'a')
  await ask('resumeAgent', 'a', undefined)
  await ask('resumeAgent', 'a', 'c-1')
  await ask('pausePeers', ['a', 'b'], 'budget')
  await ask('pausePeers', ['a'], undefined)
  await ask('resumePeers', ['a', 'b'])
  assert.deepEqual(theirs.called, [
    ['pauseAgent', 'a'], ['resumeAgent', 'a', undefined], ['resumeAgent', 'a', 'c-1'],
    ['pausePeers', ['a', 'b'], 'budget'], ['pausePeers', ['a'], undefined], ['resumePeers', ['a', 'b']],
  ])
  assert.deepEqual(opened(controller.tokenSavings('a')), SAVED)
  assert.equal(opened(controller.tokenSavings('b')).saved, 0)
  assert.deepEqual(opened(controller.meshTokenSavings('s')), SAVED)
  assert.deepEqual(await ask('meshTokenSavingsElsewhere', 's'), SAVED, 'from another thread too')
})

test('a controller that answers garbage, throws or rejects is an error, or a warning where nobody can be told', async () => {
  const theirs = new TheirController()
  const adapter = foreignController(theirs)
  const controller = native.Controller.over(adapter.any())
  const ask = async (method, ...given) => opened(await controller[method](...given))
  const fails = (code, message) => () => { throw Object.assign(new Error(message), { code }) }
  theirs.pauseAgent = fails('UnknownAgent', 'who?')
  await assert.rejects(ask('pauseAgent', 'x'), failsWith('UnknownAgent', '"x"'))
  theirs.resumeAgent = fails('UnknownCheckpoint', 'which?')
  await assert.rejects(ask('resumeAgent', 'x', 'c'), failsWith('UnknownCheckpoint', '"c"'))
  theirs.pausePeers = fails(undefined, 'two of them would not')
  await assert.rejects(ask('pausePeers', ['a'], undefined), failsWith('Failed', 'two of them would not'))
  theirs.resumePeers = () => Promise.reject(null)
  await assert.rejects(ask('resumePeers', ['a']), failsWith('Failed', 'null'))
  const none = { saved: 0, total: 0, percentage: 0, pauseDurationMs: 0, activeDurationMs: 0 }
  const answers = [undefined, null, 5, 'much', {}, { ...SAVED, saved: -1 }, Promise.resolve(SAVED), 1n]
  const warnings = collector(answers.length + 2)
  process.on('warning', warnings.take)
  for (const garbage of answers) {
    theirs.getTokenSavings = () => garbage
    assert.deepEqual(opened(controller.tokenSavings('a')), none)
  }
  theirs.getMeshTokenSavings = fails(undefined, 'not today')
  assert.deepEqual(opened(controller.meshTokenSavings('s')), none)
  assert.deepEqual(await ask('meshTokenSavingsElsewhere', 's'), none)
  const told = await warnings.done
  process.off('warning', warnings.take)
  assert.ok(told.every(warning => warning.code === 'CallbackFailed' && /Savings\("/.test(warning.message)), String(told))
  assert.match(told.at(-1).message, /not today/)
})

test('members that are missing are named', () => {
  for (const [adapt, name, member] of [[foreignBroker, 'messageBus', 'publish'], [foreignArtifacts, 'artifactStorage', 'stat'], [foreignMemory, 'swarmMemory', 'recall'], [foreignController, 'queryController', 'pausePeers']]) {
    assert.throws(() => adapt({}), failsWith('InvalidDependency', `dependencies.${name} has no`))
    assert.throws(() => adapt({}), failsWith('InvalidDependency', member))
    for (const garbage of [undefined, null, 5, 'x', () => {}]) assert.throws(() => adapt(garbage), failsWith('InvalidDependency', name))
  }
})
