'use strict'
// The message broker: every method, and what it says of bad input.

const { createMessageBroker, MeshworkError } = require('meshwork')
const { assert, test, message, signal, collector, failsWith, until, dead } = require('./support.js')

test('a peer gets what is sent to it, whole', async () => {
  const broker = createMessageBroker()
  const got = collector(1)
  broker.onPeerMessage('b', got.take)
  const sent = message({ text: 'grüße', list: [1, null, true] }, { messageId: 'm-1', metadata: { trace: 't' } })
  assert.equal(await broker.sendToPeer('a', 'b', sent), undefined)
  const [arrived] = await got.done
  assert.deepEqual(arrived, { ...sent, senderId: 'a', recipientId: 'b', routingType: 'p2p' })
  await broker.close()
})

test('every handler of a peer gets each message, and messages of a sender keep their order', async () => {
  const broker = createMessageBroker()
  const [one, other] = [collector(100), collector(100)]
  broker.onPeerMessage('b', one.take)
  broker.onPeerMessage('b', other.take)
  for (let n = 0; n < 100; n += 1) await broker.sendToPeer('a', 'b', message(n))
  const order = Array.from({ length: 100 }, (_, n) => n)
  assert.deepEqual((await one.done).map(each => each.payload), order)
  assert.deepEqual((await other.done).map(each => each.payload), order)
  await broker.close()
})

test('sends that are not awaited keep their order even when the mailbox is full', async () => {
  const broker = createMessageBroker({ maxQueueSize: 1 })
  const got = collector(500)
  broker.onPeerMessage('b', got.take)
  await Promise.all(Array.from({ length: 500 }, (_, n) => broker.sendToPeer('a', 'b', message(n))))
  assert.deepEqual((await got.done).map(each => each.payload), Array.from({ length: 500 }, (_, n) => n))
  await broker.close()
})

test('topics reach their subscribers, with wildcards', async () => {
  const broker = createMessageBroker()
  const [exact, star, rest] = [collector(1), collector(2), collector(3)]
  broker.subscribe('mesh.one.news', exact.take)
  broker.subscribe('mesh.*.news', star.take)
  broker.subscribe('mesh.>', rest.take)
  await broker.publish('mesh.one.news', message(1))
  await broker.publish('mesh.two.news', message(2))
  await broker.publish('mesh.two.old.news', message(3))
  assert.deepEqual((await exact.done).map(each => each.payload), [1])
  assert.deepEqual((await star.done).map(each => each.payload), [1, 2])
  assert.deepEqual((await rest.done).map(each => each.payload), [1, 2, 3])
  await broker.close()
})

test('unsubscribe takes back one subscription of that function', async () => {
  const broker = createMessageBroker()
  const [gone, stays] = [collector(100), collector(2)]
  broker.subscribe('t', gone.take)
  broker.subscribe('t', gone.take)
  broker.subscribe('u', gone.take)
  broker.subscribe('t', stays.take)
  await broker.publish('t', message('both'))
  broker.unsubscribe('t', gone.take)
  broker.unsubscribe('t', gone.take)
  broker.unsubscribe('t', gone.take)
  broker.unsubscribe('t', () => {})
  broker.unsubscribe('never', gone.take)
  const acknowledged = signal()
  broker.onAcknowledge('a', acknowledged.resolve)
  await broker.publish('t', message('stays', { senderId: 'a' }))
  await acknowledged.promise
  await stays.done
  assert.deepEqual(gone.all.map(each => each.payload), ['both', 'both'], 'what was published before was handled')
  const again = signal()
  broker.subscribe('u', () => again.resolve())
  await broker.publish('u', message('u'))
  await again.promise
  assert.equal(gone.all.at(-1).payload, 'u', 'its other topic is as it was')
  await broker.close()
})

test('a broadcast reaches all, or names those that it missed', async () => {
  const broker = createMessageBroker()
  const [b, c] = [collector(2), collector(1)]
  broker.onPeerMessage('b', b.take)
  broker.onPeerMessage('c', c.take)
  await broker.broadcastToMesh('a', ['b', 'c'], message('news'))
  assert.equal((await c.done)[0].routingType, 'broadcast')
  await assert.rejects(broker.broadcastToMesh('a', ['b', 'nobody'], message('more')), error => {
    failsWith('BroadcastIncomplete', 'nobody')(error)
    assert.deepEqual(error.reached, ['b'])
    assert.deepEqual(error.missed.map(({ peerId, code }) => [peerId, code]), [['nobody', 'UnknownPeer']])
    return true
  })
  await b.done
  await broker.broadcastToMesh('a', [], message('nobody asked'))
  await broker.close()
})

test('hooks are called once a message: sent, and acknowledged when the handler has finished', async () => {
  const broker = createMessageBroker()
  const [sent, acknowledged, others] = [collector(3), collector(3), collector(99)]
  broker.onPublish('a', () => sent.take())
  broker.onAcknowledge('a', () => acknowledged.take())
  broker.onPublish('other', () => others.take())
  broker.onAcknowledge('other', () => others.take())
  const open = signal()
  const begun = signal()
  broker.onPeerMessage('b', async () => {
    begun.resolve()
    await open.promise
  })
  await broker.sendToPeer('a', 'b', message(1))
  await begun.promise
  assert.equal(acknowledged.all.length, 0, 'the handler has not finished')
  open.resolve()
  await broker.sendToPeer('a', 'b', message(2))
  await broker.publish('nobody.listens', message(3, { senderId: 'a' }))
  await sent.done
  await acknowledged.done
  assert.equal(others.all.length, 0)
  await broker.close()
})

test('a known messageId is delivered once', async () => {
  const broker = createMessageBroker()
  const got = collector(2)
  broker.onPeerMessage('b', got.take)
  for (let n = 0; n < 5; n += 1) await broker.sendToPeer('a', 'b', message('same', { messageId: 'm' }))
  await broker.sendToPeer('a', 'b', message('last'))
  assert.deepEqual((await got.done).map(each => each.payload), ['same', 'last'])
  await broker.close()
})

test('metrics are what happened', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 2 })
  const done = collector(10)
  broker.onAcknowledge('a', () => done.take())
  broker.onPeerMessage('b', () => {})
  const runs = collector(3)
  broker.onPeerMessage('bad', () => {
    runs.take()
    throw new Error('no')
  })
  for (let n = 0; n < 10; n += 1) await broker.sendToPeer('a', 'b', message(n))
  await broker.sendToPeer('a', 'bad', message('x'))
  await done.done
  await runs.done
  await dead(broker, 1)
  const { p95LatencyMs, queued, ...counted } = broker.getMetrics()
  assert.deepEqual(counted, { sent: 11, delivered: 11, acknowledged: 10, dead: 1, redelivered: 2 })
  assert.ok(p95LatencyMs > 0)
  assert.ok(queued instanceof Map)
  assert.deepEqual([...queued.keys()].sort(), ['b', 'bad'])
  await broker.close()
})

test('a handler that fails is run again, then its message is a dead letter that says why', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 1 })
  let runs = 0
  broker.onPeerMessage('b', async () => {
    runs += 1
    throw new Error('no good')
  })
  await broker.sendToPeer('a', 'b', message({ n: 1 }, { messageId: 'm-7' }))
  const [letter] = await dead(broker, 1)
  assert.equal(runs, 2)
  assert.equal(letter.code, 'HandlerFailed')
  assert.match(letter.reason, /no good/)
  assert.deepEqual([letter.message.senderId, letter.message.recipientId, letter.message.messageId], ['a', 'b', 'm-7'])
  assert.deepEqual(letter.message.payload, { n: 1 })
  await broker.close()
})

test('maxRedeliveries 0: once and no more', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 0 })
  let runs = 0
  broker.onPeerMessage('b', () => {
    runs += 1
    throw new Error('no')
  })
  await broker.sendToPeer('a', 'b', message(1))
  await dead(broker, 1)
  assert.equal(runs, 1)
  await broker.close()
})

test('maxQueueSize: a full mailbox waits for room, then rejects MailboxFull', async () => {
  const broker = createMessageBroker({ maxQueueSize: 2, sendTimeoutMs: 20 })
  const open = signal()
  const got = collector(3)
  broker.onPeerMessage('b', async given => {
    got.take(given)
    await open.promise
  })
  await broker.sendToPeer('a', 'b', message(0))
  // The one that is being handled may have given its room back: fill it up to the refusal.
  let sent = 1
  const refused = await (async () => {
    for (; sent < 10; sent += 1) {
      try {
        await broker.sendToPeer('a', 'b', message(sent))
      } catch (error) {
        return error
      }
    }
    throw new Error('the mailbox never was full')
  })()
  failsWith('MailboxFull', '"b"')(refused)
  assert.deepEqual([refused.peerId, refused.limit, refused.waitedMs], ['b', 2, 20])
  open.resolve()
  await until(() => broker.getMetrics().acknowledged >= sent)
  await broker.sendToPeer('a', 'b', message('room again'))
  await broker.close()
})

test('maxMessageSize: a larger message is refused, and says the limit', async () => {
  const broker = createMessageBroker({ maxMessageSize: 1000 })
  const got = collector(1)
  broker.onPeerMessage('b', got.take)
  await assert.rejects(broker.sendToPeer('a', 'b', message('x'.repeat(1000))), error => {
    failsWith('TooLarge', '1000')(error)
    assert.equal(error.limit, 1000)
    return true
  })
  await assert.rejects(broker.publish('t', message('x'.repeat(1000))), failsWith('TooLarge'))
  await broker.sendToPeer('a', 'b', message('fits'))
  assert.equal((await got.done)[0].payload, 'fits')
  await broker.close()
})

test('ackTimeoutMs: a handler that never resolves costs its message, and no other', async () => {
  const broker = createMessageBroker({ ackTimeoutMs: 20 })
  const after = signal()
  broker.onPeerMessage('b', ({ payload }) => (payload === 'stuck' ? new Promise(() => {}) : after.resolve()))
  await broker.sendToPeer('a', 'b', message('stuck'))
  await broker.sendToPeer('a', 'b', message('next'))
  await after.promise
  const [letter] = await dead(broker, 1)
  assert.equal(letter.code, 'HandlerTimeout')
  await broker.close()
})

test('an unknown recipient is an error', async () => {
  const broker = createMessageBroker()
  await assert.rejects(broker.sendToPeer('a', 'nobody', message(1)), error => {
    failsWith('UnknownPeer', 'nobody')(error)
    assert.ok(error instanceof MeshworkError)
    assert.equal(error.peerId, 'nobody')
    return true
  })
  assert.equal(broker.getMetrics().sent, 0)
  await broker.close()
})

test('names that begin with $ are the broker\'s own', async () => {
  const broker = createMessageBroker()
  assert.throws(() => broker.onPeerMessage('$b', () => {}), failsWith('ReservedName', '$b'))
  await assert.rejects(broker.sendToPeer('$a', 'b', message(1)), failsWith('ReservedName'))
  await broker.close()
})

test('what is no topic says why', async () => {
  const broker = createMessageBroker()
  for (const topic of ['', 'a..b', 'a b', 'a.>.b', 'x'.repeat(300)]) {
    assert.throws(() => broker.subscribe(topic, () => {}), failsWith('InvalidTopic', 'nothing changed'))
    await assert.rejects(broker.publish(topic, message(1)), failsWith('InvalidTopic'))
  }
  await assert.rejects(broker.publish('a.*', message(1)), failsWith('InvalidTopic', 'subscriptions'))
  await broker.close()
})

test('garbage in place of a handler is a TypeError with a code', async () => {
  const broker = createMessageBroker()
  for (const garbage of [undefined, null, 1, 'f', {}, [], Symbol('s'), 1n]) {
    for (const call of ['subscribe', 'unsubscribe', 'onPeerMessage', 'onPublish', 'onAcknowledge']) {
      assert.throws(() => broker[call]('a', garbage), error => {
        assert.ok(error instanceof TypeError)
        return failsWith('InvalidHandler', 'expected a function')(error)
      })
    }
  }
  await broker.close()
})

test('garbage in place of names is refused, by a promise where there is one', async () => {
  const broker = createMessageBroker()
  for (const garbage of [undefined, null, 1, {}, [1], Symbol('s'), '\ud800']) {
    assert.throws(() => broker.subscribe(garbage, () => {}), failsWith('InvalidArgument', 'topic'))
    assert.throws(() => broker.onPeerMessage(garbage, () => {}), failsWith('InvalidArgument', 'peerId'))
    assert.throws(() => broker.onPublish(garbage, () => {}), failsWith('InvalidArgument', 'peerId'))
    await assert.rejects(broker.publish(garbage, message(1)), failsWith('InvalidArgument', 'topic'))
    await assert.rejects(broker.sendToPeer(garbage, 'b', message(1)), failsWith('InvalidArgument', 'senderId'))
    await assert.rejects(broker.sendToPeer('a', garbage, message(1)), failsWith('InvalidArgument', 'recipientId'))
    await assert.rejects(broker.broadcastToMesh('a', garbage, message(1)), failsWith('InvalidArgument', 'neighbors'))
    await assert.rejects(broker.broadcastToMesh('a', [garbage], message(1)), failsWith('InvalidArgument', 'neighbors[0]'))
  }
  await broker.close()
})

test('what is no message is refused, with the field that is wrong', async () => {
  const broker = createMessageBroker()
  broker.onPeerMessage('b', () => assert.fail('nothing is delivered'))
  const wrong = [
    [undefined, 'message is undefined'],
    ['text', 'message is "text"'],
    [{ payload: 1, timestamp: 1 }, 'message.type is undefined'],
    [{ type: 5, payload: 1, timestamp: 1 }, 'message.type is 5'],
    [{ type: 'a', payload: 1 }, 'message.timestamp is undefined'],
    [{ type: 'a', payload: 1, timestamp: 1.5 }, 'message.timestamp is 1.5'],
    [{ type: 'a', payload: 1, timestamp: -1 }, 'message.timestamp is -1'],
    [{ type: 'a', payload: 1, timestamp: NaN }, 'message.timestamp is NaN'],
    [message(1, { messageId: 7 }), 'message.messageId is 7'],
    [message(1, { senderId: {} }), 'message.senderId'],
    [message(1, { routingType: 'tcp' }), 'message.routingType is "tcp"'],
    [message(1, { metadata: [] }), 'message.metadata is an array'],
  ]
  for (const [given, text] of wrong) {
    await assert.rejects(broker.sendToPeer('a', 'b', given), failsWith('InvalidMessage', text))
    await assert.rejects(broker.publish('t', given), failsWith('InvalidMessage', text))
  }
  assert.equal(broker.getMetrics().sent, 0)
  await broker.close()
})

test('a payload that JSON can\'t carry is refused, and never changed without a word', async () => {
  const broker = createMessageBroker()
  broker.onPeerMessage('b', () => assert.fail('nothing is delivered'))
  const cycle = {}
  cycle.self = cycle
  const deep = []
  let level = deep
  for (let n = 0; n < 100_000; n += 1) {
    level.push([])
    level = level[0]
  }
  const bad = { toJSON() { throw new Error('no text of me') } }
  const payloads = [cycle, 1n, () => {}, Symbol('s'), { at: { depth: () => {} } }, [NaN], Infinity, new Map(), new Set(), Buffer.from('x'), new ArrayBuffer(1), deep, bad]
  for (const payload of payloads) {
    await assert.rejects(broker.sendToPeer('a', 'b', message(payload)), failsWith('Unserializable'))
  }
  await assert.rejects(broker.publish('t', message(1, { metadata: { f: () => {} } })), failsWith('Unserializable', '"f"'))
  // As deep as the text of it may be, but deeper than is parsed; and half a character.
  const nested = JSON.parse('['.repeat(2000) + ']'.repeat(2000))
  for (const payload of [nested, '\ud800']) {
    await assert.rejects(broker.sendToPeer('a', 'b', message(payload)), failsWith('InvalidMessage'))
  }
  await broker.close()
})

test('a payload of undefined arrives as null, dates as text', async () => {
  const broker = createMessageBroker()
  const got = collector(2)
  broker.onPeerMessage('b', got.take)
  await broker.sendToPeer('a', 'b', message(undefined))
  await broker.sendToPeer('a', 'b', message({ at: new Date(0), gone: undefined }))
  assert.deepEqual((await got.done).map(each => each.payload), [null, { at: '1970-01-01T00:00:00.000Z' }])
  await broker.close()
})

test('a configuration that can\'t be used names the field, what was found and what was expected', () => {
  const wrong = [
    [{ maxQueueSize: 0 }, 'maxQueueSize is 0, expected a whole number from 1'],
    [{ maxQueueSize: 1.5 }, 'maxQueueSize is 1.5'],
    [{ maxMessageSize: -1 }, 'maxMessageSize is -1'],
    [{ ackTimeoutMs: 0 }, 'ackTimeoutMs is 0'],
    [{ maxRedeliveries: -1 }, 'maxRedeliveries is -1'],
    [{ maxRedeliveries: 'many' }, 'expected f64'],
    [{ maxQueSize: 1 }, 'maxQueSize'],
    [{ durable: 'yes' }, 'expected a boolean'],
    [null, 'config is null'],
    ['fast', 'config is "fast"'],
  ]
  for (const [config, text] of wrong) assert.throws(() => createMessageBroker(config), failsWith('InvalidConfig', text))
  assert.throws(() => createMessageBroker({ durable: true }), failsWith('DurableUnsupported', 'expected false'))
  assert.throws(() => createMessageBroker({ maxQueueSize: NaN }), failsWith('Unserializable', '"maxQueueSize"'))
})

test('undefined fields of a configuration are as if they were not there', async () => {
  await createMessageBroker({ maxQueueSize: undefined, durable: false }).close()
})

test('a closed broker says so, and closing twice is no error', async () => {
  const broker = createMessageBroker()
  broker.onPeerMessage('b', () => {})
  await broker.close()
  await broker.close()
  await assert.rejects(broker.sendToPeer('a', 'b', message(1)), failsWith('Closed'))
  await assert.rejects(broker.publish('t', message(1)), failsWith('Closed'))
  await assert.rejects(broker.broadcastToMesh('a', ['b'], message(1)), failsWith('Closed'))
  for (const call of ['subscribe', 'onPeerMessage', 'onPublish', 'onAcknowledge']) {
    assert.throws(() => broker[call]('a', () => {}), failsWith('Closed'))
  }
  assert.throws(() => broker.getMetrics(), failsWith('Closed'))
  broker.unsubscribe('a', () => {})
})
