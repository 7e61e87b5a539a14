'use strict'
// What keeps Node alive: messages on their way, and promises. Nothing else, and nothing after the end.

const { assert, test, run } = require('./support.js')

const BROKER = "const { createMessageBroker, createDistributedCompletionDetector, createArtifactStorage } = require('meshwork')\nconst broker = createMessageBroker()\nconst m = { type: 't', payload: 1, timestamp: 1 }\n"

test('objects that nobody uses do not', async () => {
  const { code, out, err } = await run(`${BROKER}
    broker.onPeerMessage('b', () => {})
    broker.subscribe('t.>', () => {})
    broker.onPublish('a', () => {})
    const detector = createDistributedCompletionDetector({}, { messageBus: broker })
    detector.initialize(['a', 'b'])
    const storage = createArtifactStorage()
    console.log('end')
  `)
  assert.deepEqual([code, out, err], [0, 'end\n', ''])
})

test('a message that is on its way does, until its handler has it', async () => {
  const { code, out, err } = await run(`${BROKER}
    broker.onPeerMessage('b', ({ payload }) => { console.log('got', payload) })
    for (let n = 0; n < 3; n += 1) broker.sendToPeer('a', 'b', { ...m, payload: n })
    broker.subscribe('t', () => console.log('topic'))
    broker.publish('t', m)
  `)
  assert.deepEqual([code, err], [0, ''])
  assert.deepEqual(out.split('\n').filter(line => line.startsWith('got')), ['got 0', 'got 1', 'got 2'])
  assert.ok(out.includes('topic'))
})

test('a message that is delivered again does too', async () => {
  const { code, out } = await run(`${BROKER}
    let runs = 0
    broker.onPeerMessage('b', async () => {
      runs += 1
      console.log('run', runs)
      if (runs < 4) throw new Error('again')
    })
    broker.sendToPeer('a', 'b', m)
  `)
  assert.deepEqual([code, out], [0, 'run 1\nrun 2\nrun 3\nrun 4\n'])
})

test('a promise of a detection does', async () => {
  const { code, out, err } = await run(`${BROKER}
    const detector = createDistributedCompletionDetector({ defaultTimeoutMs: 30 }, { messageBus: broker })
    broker.onPeerMessage('outside', () => new Promise(() => {}))
    detector.initialize(['a']).then(async () => {
      await broker.sendToPeer('a', 'outside', m)
      console.log(await detector.detectCompletion('swarm'))
    })
  `)
  assert.deepEqual([code, out, err], [0, 'false\n', ''])
})

test('a broker that was closed with messages in it does not', async () => {
  const { code, out, err } = await run(`${BROKER}
    broker.onPeerMessage('b', () => new Promise(() => {}))
    for (let n = 0; n < 100; n += 1) broker.sendToPeer('a', 'b', m)
    broker.close().then(() => console.log('closed'))
  `)
  assert.deepEqual([code, out, err], [0, 'closed\n', ''])
})

test('ending in the middle of things is no crash', async () => {
  const { code, out, err } = await run(`${BROKER}
    let got = 0
    broker.onPeerMessage('b', async () => {
      got += 1
      if (got === 500) process.exit(7)
    })
    const send = () => broker.sendToPeer('a', 'b', m).then(send)
    send()
    send()
    const storage = createArtifactStorage()
    storage.store('k', Buffer.alloc(1000))
  `)
  assert.deepEqual([code, out, err], [7, '', ''])
})

test('a worker thread that ends takes its broker with it, and the others go on', async () => {
  const { code, out, err } = await run(`
    const { Worker, isMainThread, parentPort } = require('node:worker_threads')
    const source = ${JSON.stringify(`
      const { parentPort } = require('node:worker_threads')
      ${BROKER}
      broker.onPeerMessage('b', () => { parentPort.postMessage('got') })
      broker.sendToPeer('a', 'b', m)
      setInterval(() => broker.sendToPeer('a', 'b', m), 1)
    `)}
    ${BROKER}
    const worker = new Worker(source, { eval: true })
    worker.once('message', async () => {
      await worker.terminate()
      broker.onPeerMessage('b', () => console.log('main goes on'))
      await broker.sendToPeer('a', 'b', m)
    })
  `)
  assert.deepEqual([code, out, err], [0, 'main goes on\n', ''])
})
