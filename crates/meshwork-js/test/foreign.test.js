'use strict'
// Dependencies that are written in JavaScript: what they are asked, and what happens when they are not as they should be.

const { createDistributedCompletionDetector } = require('meshwork')
const { foreignArtifacts, foreignBroker } = require('../lib/foreign.js')
const { native } = require('../lib/native.js')
const { opened } = require('../lib/errors.js')
const { TheirBroker } = require('./their-broker.js')
const { assert, test, message, signal, failsWith } = require('./support.js')

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
  while (detector.getDeficitCounter('a') !== 1) await new Promise(setImmediate)
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
