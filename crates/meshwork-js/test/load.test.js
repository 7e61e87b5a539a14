'use strict'
// A hundred thousand messages among ten peers with handlers in JavaScript: none lost, none twice, in order per sender.

const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { createMessageBroker } = require('meshwork')
const { assert, test, message, signal, until } = require('./support.js')

const PEERS = 10
const MESSAGES = 100_000
/** Sends that wait beside each other; more would only wait in another place. */
const WINDOW = 1_000

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

/** Bytes that the process takes, without what JavaScript has let go of, and without what it keeps in reserve. */
function resident() {
  collectGarbage()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return rss - heapTotal + heapUsed
}

/** Messages that are neither acknowledged nor dead. */
function inFlight(broker) {
  const { sent, acknowledged, dead } = broker.getMetrics()
  return sent - acknowledged - dead
}

/** Sends so many messages over a broker, and checks each as it comes. Resolves when all were handled and acknowledged. */
async function flood(broker, book, count) {
  const { next, sent } = book
  const all = signal()
  book.arrived = 0
  book.check = ({ senderId, recipientId, payload }) => {
    const lane = `${senderId} ${recipientId}`
    const expected = next.get(lane) ?? 0
    if (payload.number !== expected) throw new Error(`${lane}: ${payload.number} came, expected ${expected}`)
    next.set(lane, expected + 1)
    book.arrived += 1
    if (book.arrived === count) all.resolve()
  }
  let window = []
  for (let n = 0; n < count; n += 1) {
    const from = n % PEERS
    const to = (from + 1 + (Math.floor(n / PEERS) % (PEERS - 1))) % PEERS
    const lane = `peer-${from} peer-${to}`
    const number = sent.get(lane) ?? 0
    sent.set(lane, number + 1)
    window.push(broker.sendToPeer(`peer-${from}`, `peer-${to}`, message({ number, text: book.text })))
    if (window.length === WINDOW) {
      await Promise.all(window)
      window = []
    }
  }
  await Promise.all(window)
  await all.promise
  await until(() => inFlight(broker) === 0, 200_000)
}

test('100,000 messages among 10 peers: none lost, none twice, in order per sender, in flat memory', async () => {
  const broker = createMessageBroker({ maxRedeliveries: 0 })
  const book = { next: new Map(), sent: new Map(), text: 'x'.repeat(200) }
  // Half of the handlers promise, half do not.
  for (let n = 0; n < PEERS; n += 1) {
    const handler = n % 2 === 0 ? given => book.check(given) : async given => book.check(given)
    broker.onPeerMessage(`peer-${n}`, handler)
  }
  const memory = []
  const rounds = 5
  for (let round = 0; round < rounds; round += 1) {
    await flood(broker, book, MESSAGES / rounds)
    memory.push(resident())
  }
  const { sent, delivered, acknowledged, dead, redelivered, queued } = broker.getMetrics()
  assert.deepEqual({ sent, delivered, acknowledged, dead, redelivered }, { sent: MESSAGES, delivered: MESSAGES, acknowledged: MESSAGES, dead: 0, redelivered: 0 })
  assert.equal(book.next.size, PEERS * (PEERS - 1))
  for (const [lane, count] of book.sent) assert.equal(book.next.get(lane), count, lane)
  assert.ok([...queued.values()].every(count => count === 0))
  // Messages held for ever would be seen: 40,000 of them are over 20 MB. Before, caches and heaps are filled.
  const growth = memory.at(-1) - Math.max(...memory.slice(0, 3))
  assert.ok(growth < 10_000_000, `it grew by ${growth} bytes over the last rounds: ${memory}`)
  await broker.close()
}, 300_000)
