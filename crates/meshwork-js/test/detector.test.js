'use strict'
// The completion detector over the package's broker.

const { createMessageBroker, createDistributedCompletionDetector } = require('meshwork')
const { assert, test, message, signal, failsWith, until } = require('./support.js')

const FAST = { probeRetryIntervalMs: 1, maxProbeRetries: 1_000_000 }

test('it waits while messages are on their way and handlers run, and then says true', async () => {
  const messageBus = createMessageBroker()
  const detector = createDistributedCompletionDetector(FAST, { messageBus })
  await detector.initialize(['a', 'b', 'c'])
  const [begun, open] = [signal(), signal()]
  const handled = []
  messageBus.onPeerMessage('a', ({ payload }) => handled.push(payload))
  messageBus.onPeerMessage('b', async ({ payload }) => {
    begun.resolve()
    await open.promise
    handled.push(payload)
    await messageBus.sendToPeer('b', 'c', message('from b'))
  })
  messageBus.onPeerMessage('c', async ({ payload }) => {
    handled.push(payload)
    await messageBus.sendToPeer('c', 'a', message('from c'))
  })
  await messageBus.sendToPeer('a', 'b', message('from a'))
  await begun.promise
  const detection = detector.detectCompletion('swarm', 60_000)
  let answered = false
  detection.then(() => { answered = true })
  assert.equal(detector.getDeficitCounter('a'), 1)
  assert.equal(detector.isPeerCompleted('a'), false)
  assert.equal(detector.isPeerCompleted('b'), false)
  assert.match(detector.explain().join('; '), /b runs 1 handler/)
  assert.equal(answered, false)
  open.resolve()
  assert.equal(await detection, true)
  assert.deepEqual(handled, ['from a', 'from b', 'from c'])
  assert.deepEqual(['a', 'b', 'c'].map(peer => detector.isPeerCompleted(peer)), [true, true, true])
  assert.deepEqual(['a', 'b', 'c'].map(peer => detector.getDeficitCounter(peer)), [0, 0, 0])
  assert.deepEqual(detector.explain(), [])
  await messageBus.close()
})

test('probes are a real Set, and metrics count them and their answers', async () => {
  const messageBus = createMessageBroker()
  const detector = createDistributedCompletionDetector({}, { messageBus })
  const seen = []
  messageBus.subscribe('mesh.swarm.completion', ({ payload }) => { seen.push(payload) })
  await detector.initialize(['a', 'b'])
  assert.equal(await detector.detectCompletion('swarm'), true)
  const probes = detector.getCompletionProbes('a')
  assert.ok(probes instanceof Set)
  const metrics = detector.getMetrics()
  // Independently counted: what went over the topic. The answers may still be on their way to this subscriber.
  await until(() => seen.length >= metrics.totalProbesSent + metrics.totalAcksReceived)
  const [asked, answers] = ['probe', 'acknowledgment'].map(type => seen.filter(probe => probe.type === type))
  assert.equal(asked.length, metrics.totalProbesSent)
  assert.equal(answers.length, metrics.totalAcksReceived)
  assert.ok(asked.length >= 2)
  assert.deepEqual(new Set(asked.map(probe => probe.probeId)), probes)
  const { averageDetectionTimeMs, longestDetectionTimeMs, totalProbesSent, totalAcksReceived, ...counted } = metrics
  assert.deepEqual(counted, { totalPeers: 2, completedPeers: 2, detectionAttempts: 1, detectionSuccesses: 1, detectionTimeouts: 0 })
  assert.ok(longestDetectionTimeMs >= averageDetectionTimeMs)
  await messageBus.close()
})

test('false after the timeout when nothing moves; a later call may succeed', async () => {
  const messageBus = createMessageBroker({ ackTimeoutMs: 60_000 })
  const detector = createDistributedCompletionDetector({ ...FAST, defaultTimeoutMs: 5 }, { messageBus })
  // The peer that does not finish is none of the detector's, so nothing runs that it would wait for.
  await detector.initialize(['a'])
  const open = signal()
  messageBus.onPeerMessage('outside', () => open.promise)
  await messageBus.sendToPeer('a', 'outside', message(1))
  assert.equal(await detector.detectCompletion('swarm'), false)
  assert.equal(await detector.detectCompletion('swarm', 1), false)
  assert.equal(detector.getMetrics().detectionTimeouts, 2)
  assert.match(detector.explain().join(), /a waits for the acknowledgement of 1 message/)
  open.resolve()
  assert.equal(await detector.detectCompletion('swarm', 60_000), true)
  await messageBus.close()
})

test('reset forgets what was counted, and is refused while a detection runs', async () => {
  const messageBus = createMessageBroker()
  const detector = createDistributedCompletionDetector(FAST, { messageBus })
  await detector.initialize(['a'])
  const open = signal()
  messageBus.onPeerMessage('a', () => open.promise)
  await messageBus.sendToPeer('a', 'a', message(1))
  const detection = detector.detectCompletion('swarm', 60_000)
  await assert.rejects(detector.reset(), failsWith('DetectionRuns', 'nothing changed'))
  open.resolve()
  assert.equal(await detection, true)
  await detector.reset()
  assert.equal(detector.getMetrics().detectionAttempts, 0)
  assert.equal(detector.getCompletionProbes('a').size, 0)
  assert.equal(detector.getMetrics().totalPeers, 1)
  await messageBus.close()
})

test('checkpoints are kept where they are wanted', async () => {
  const messageBus = createMessageBroker()
  const [keeps, not] = [true, false].map(enableCheckpoints =>
    createDistributedCompletionDetector({ enableCheckpoints }, { messageBus }))
  for (const [detector, swarm] of [[keeps, 's1'], [not, 's2']]) {
    await detector.initialize(['a'])
    assert.equal(await detector.detectCompletion(swarm), true)
  }
  assert.deepEqual(not.getCheckpoints(), [])
  const waves = keeps.getCheckpoints()
  assert.ok(waves.length > 0)
  assert.equal(waves.at(-1).swarmId, 's1')
  assert.equal(waves.at(-1).agreed, true)
  assert.equal(waves.at(-1).peers.a.deficit, 0)
  await messageBus.close()
})

test('what is not known is 0, false, empty; before initialize there is no answer', async () => {
  const messageBus = createMessageBroker()
  const detector = createDistributedCompletionDetector({}, { messageBus })
  assert.equal(detector.isPeerCompleted('nobody'), false)
  assert.equal(detector.getDeficitCounter('nobody'), 0)
  assert.deepEqual(detector.getCompletionProbes('nobody'), new Set())
  await assert.rejects(detector.detectCompletion('swarm'), failsWith('NotInitialized'))
  await messageBus.close()
})

test('garbage is refused', async () => {
  const messageBus = createMessageBroker()
  const detector = createDistributedCompletionDetector({}, { messageBus })
  await detector.initialize(['a'])
  for (const garbage of [undefined, null, 1, {}, Symbol('s')]) {
    await assert.rejects(detector.initialize(garbage), failsWith('InvalidArgument', 'peerIds'))
    await assert.rejects(detector.initialize([garbage]), failsWith('InvalidArgument', 'peerIds[0]'))
    await assert.rejects(detector.detectCompletion(garbage), failsWith('InvalidArgument', 'swarmId'))
    for (const call of ['isPeerCompleted', 'getDeficitCounter', 'getCompletionProbes']) {
      assert.throws(() => detector[call](garbage), failsWith('InvalidArgument', 'peerId'))
    }
  }
  for (const timeout of [-1, NaN, '5', null]) {
    await assert.rejects(detector.detectCompletion('s', timeout), failsWith('InvalidArgument', 'timeoutMs'))
  }
  await assert.rejects(detector.detectCompletion('no.topic'), failsWith('InvalidTopic'))
  await assert.rejects(detector.initialize(Array.from({ length: 10_001 }, (_, n) => `p${n}`)), failsWith('TooManyPeers'))
  await messageBus.close()
})

test('configurations and dependencies that can\'t be used are refused', async () => {
  const messageBus = createMessageBroker()
  const make = (config, given = { messageBus }) => () => createDistributedCompletionDetector(config, given)
  assert.throws(make({ probeRetryIntervalMs: 0 }), failsWith('InvalidConfig', 'probeRetryIntervalMs is 0'))
  assert.throws(make({ defaultTimeoutMs: -1 }), failsWith('InvalidConfig', 'defaultTimeoutMs is -1'))
  assert.throws(make({ maxProbeRetries: 0.5 }), failsWith('InvalidConfig', 'maxProbeRetries is 0.5'))
  assert.throws(make({ enableCheckpoints: 1 }), failsWith('InvalidConfig', 'expected a boolean'))
  assert.throws(make({ timeout: 1 }), failsWith('InvalidConfig', 'timeout'))
  assert.throws(make(5), failsWith('InvalidConfig', 'config is 5'))
  assert.throws(make({ messageBus: createMessageBroker() }), failsWith('InvalidConfig', 'another object'))
  make({ messageBus })()
  make(undefined)()
  for (const garbage of [null, 5, []]) assert.throws(make({}, garbage), failsWith('InvalidDependency', 'dependencies'))
  for (const garbage of [undefined, null, 5, []]) {
    assert.throws(make({}, { messageBus: garbage }), failsWith('InvalidDependency', 'dependencies.messageBus'))
  }
  assert.throws(make({}, { messageBus: { publish() {} } }), failsWith('InvalidDependency', 'subscribe, unsubscribe, sendToPeer'))
  await messageBus.close()
  assert.throws(make({}), failsWith('Closed'))
})
