// Three peers pass a text on, and a detector says when all of it is done.

import { createMessageBroker, createDistributedCompletionDetector } from 'meshwork'

const messageBus = createMessageBroker()
const detector = createDistributedCompletionDetector({}, { messageBus })
await detector.initialize(['planner', 'writer', 'reviewer'])

const pass = (from, to, text) => messageBus.sendToPeer(from, to, { type: 'text', payload: { text }, timestamp: Date.now() })
const lines = []

messageBus.onPeerMessage('writer', async ({ payload }) => {
  lines.push(`writer got "${payload.text}"`)
  await pass('writer', 'reviewer', `${payload.text}, written`)
})
messageBus.onPeerMessage('reviewer', ({ payload }) => {
  lines.push(`reviewer got "${payload.text}"`)
})

await pass('planner', 'writer', 'an outline')
const completed = await detector.detectCompletion('swarm-001')
console.log([...lines, `completed: ${completed}`].join('\n'))
await messageBus.close()
