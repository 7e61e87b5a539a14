'use strict'
// No callback can crash Node or hang the broker.

const { createMessageBroker } = require('meshwork')
const { assert, test, message, signal, collector, failsWith, run, dead } = require('./support.js')

/** Everything that somebody may throw. */
const thrown = () => [new Error('why'), undefined, null, 0, 'text', Symbol('s'), 1n, {}, Object.create(null), new Proxy({}, { get() { throw new Error('trap') } }), { toString() { throw new Error('no text') } }, { code: 5, message: {} }]

test('a handler that throws or rejects with anything costs its message and no other', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 0 })
  const after = signal()
  const all = thrown()
  broker.onPeerMessage('b', ({ payload: { at, rejects } }) => {
    if (at === all.length) return after.resolve()
    if (rejects) return Promise.reject(all[at])
    throw all[at]
  })
  for (let at = 0; at < all.length; at += 1) {
    await broker.sendToPeer('a', 'b', message({ at, rejects: false }))
    await broker.sendToPeer('a', 'b', message({ at, rejects: true }))
  }
  await broker.sendToPeer('a', 'b', message({ at: all.length }))
  await after.promise
  const letters = await dead(broker, 2 * all.length)
  assert.ok(letters.every(letter => letter.code === 'HandlerFailed'))
  assert.match(letters[0].reason, /why/)
  await broker.close()
})

test('what a handler returns is nobody\'s business: anything but a promise has finished', async () => {
  const broker = createMessageBroker()
  const garbage = [0, 'text', Symbol('s'), 1n, () => {}, {}, { then: 5 }, [], new Map(), NaN, Promise.resolve(1n)]
  const acknowledged = collector(garbage.length)
  broker.onAcknowledge('a', () => acknowledged.take())
  broker.onPeerMessage('b', ({ payload }) => garbage[payload])
  for (let at = 0; at < garbage.length; at += 1) await broker.sendToPeer('a', 'b', message(at))
  await acknowledged.done
  await broker.close()
})

test('a thenable that throws, or resolves twice, or never, is a handler like any other', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 0, ackTimeoutMs: 20 })
  const thens = [
    { then() { throw new Error('no') } },
    { get then() { throw new Error('not even that') } },
    { then(resolve) { resolve(); resolve() } },
    { then() {} },
    { then(_resolve, reject) { reject(new Error('rejected')) } },
  ]
  broker.onPeerMessage('b', ({ payload }) => thens[payload])
  for (let at = 0; at < thens.length; at += 1) await broker.sendToPeer('a', 'b', message(at))
  const letters = await dead(broker, 4)
  assert.deepEqual(letters.map(letter => letter.code), ['HandlerFailed', 'HandlerFailed', 'HandlerTimeout', 'HandlerFailed'])
  assert.equal(broker.getMetrics().acknowledged, 1)
  await broker.close()
})

test('a handler may do anything with the broker that runs it, closing included', async () => {
  const broker = createMessageBroker()
  const [sent, closed, late] = [collector(3), signal(), collector(1)]
  const handler = async ({ payload }) => {
    sent.take(payload)
    if (payload > 2) {
      await broker.close()
      closed.resolve()
      return
    }
    broker.unsubscribe('t', handler)
    broker.subscribe('t', handler)
    broker.onPeerMessage(`new-${payload}`, () => {})
    broker.onPublish('b', () => {})
    await broker.sendToPeer('b', 'b', message(payload + 1))
    assert.ok(broker.getMetrics().sent > 0)
    broker.getDeadLetters()
  }
  broker.onPeerMessage('b', handler)
  await broker.sendToPeer('a', 'b', message(1))
  await closed.promise
  assert.deepEqual(sent.all, [1, 2, 3])
  await assert.rejects(broker.sendToPeer('a', 'b', message(1)), failsWith('Closed'))
  assert.equal(late.all.length, 0)
})

test('hooks that throw or reject are told as warnings, and cost nothing else', async () => {
  const broker = createMessageBroker()
  const warnings = collector(2 * 2)
  process.on('warning', warnings.take)
  broker.onPublish('a', () => { throw new Error('hook one') })
  broker.onAcknowledge('a', async () => { throw new Error('hook two') })
  const got = collector(2)
  broker.onPeerMessage('b', got.take)
  await broker.sendToPeer('a', 'b', message(1))
  await broker.sendToPeer('a', 'b', message(2))
  await got.done
  const told = await warnings.done
  process.off('warning', warnings.take)
  assert.ok(told.every(warning => warning.code === 'CallbackFailed'))
  assert.deepEqual(new Set(told.map(warning => warning.message)), new Set(['a callback failed: hook one', 'a callback failed: hook two']))
  await broker.close()
})

test('a handler that never resolves, and one that throws, do not keep a program from ending well', async () => {
  const ended = await run(`
    const { createMessageBroker } = require('meshwork')
    const broker = createMessageBroker({ maxRedeliveries: 0 })
    broker.onPeerMessage('stuck', () => new Promise(() => {}))
    broker.onPeerMessage('bad', async () => { throw new Error('x') })
    broker.onPublish('a', () => { throw new Error('y') })
    broker.sendToPeer('a', 'stuck', { type: 't', payload: 1, timestamp: 1 })
    broker.sendToPeer('a', 'bad', { type: 't', payload: 1, timestamp: 1 })
    process.on('exit', code => console.log('exit', code))
  `)
  assert.equal(ended.code, 0, ended.err)
  assert.equal(ended.out, 'exit 0\n')
  assert.match(ended.err, /CallbackFailed/)
})

test('what a handler is given is its own: changing it changes nothing', async () => {
  const broker = createMessageBroker()
  const got = collector(1)
  const spoil = given => {
    given.payload.list.push('more')
    delete given.senderId
  }
  broker.onPeerMessage('b', spoil)
  broker.onPeerMessage('b', got.take)
  const sent = message({ list: [] })
  const sending = broker.sendToPeer('a', 'b', sent)
  sent.payload.list.push('too late')
  await sending
  const [arrived] = await got.done
  assert.deepEqual([arrived.payload, arrived.senderId], [{ list: [] }, 'a'])
  await broker.close()
})
