'use strict'
// Agents that are programs.

const { assert, test, failsWith } = require('./support.js')
const { task, started, until } = require('./world.js')

const agents = [
  { capabilities: ['shell'], agent: { kind: 'shell', env: { GREETING: 'hello' } } },
  { capabilities: ['node'], agent: { kind: 'command', command: [process.execPath, '-e', 'process.stdin.on("data", text => { const { id, input } = JSON.parse(text); console.log(JSON.stringify({ id, doubled: input * 2 })) })'], cwd: '/' } },
]

/** Runs one task and resolves to how it ended. */
async function outcome(coordinator, id, more) {
  await coordinator.submitTask(task(id, more))
  return coordinator.awaitTask(id)
}

test('a shell runs the line of its task, a command gets its task as JSON', async t => {
  const coordinator = await started(t, undefined, { agents, peerCount: 2, swarmId: 's' })
  assert.equal((await outcome(coordinator, 'a', { requiredCapabilities: ['shell'], run: 'echo "$GREETING from $MESHWORK_PEER_ID"' })).result, 'hello from s-peer-1')
  assert.deepEqual((await outcome(coordinator, 'b', { requiredCapabilities: ['node'], input: 21 })).result, { id: 'b', doubled: 42 })
  const failed = await outcome(coordinator, 'c', { requiredCapabilities: ['shell'], run: 'echo broken >&2; exit 3' })
  assert.deepEqual([failed.state, failed.error], ['failed', 'exit code 3: broken'])
  assert.match((await outcome(coordinator, 'd', { requiredCapabilities: ['shell'] })).error, /no run line/)
  assert.deepEqual(coordinator.getActivePeers().map(peer => peer.session.kind), ['shell', 'command'])
})

test('a program that runs for ever ends with its timeout, its task, and its coordinator', async t => {
  const coordinator = await started(t, undefined, { agents, peerCount: 2, swarmId: 's' })
  const sleeps = more => task(more.id, { requiredCapabilities: ['shell'], run: 'echo $$; exec sleep 100000', ...more })
  await coordinator.submitTask(sleeps({ id: 'late', timeoutMs: 20 }))
  assert.match((await coordinator.awaitTask('late')).error, /timeout/)
  await coordinator.submitTask(sleeps({ id: 'cancelled' }))
  await until(() => coordinator.getAgentState('s-peer-1') === 'working')
  await coordinator.cancelTask('cancelled')
  assert.equal((await coordinator.awaitTask('cancelled')).state, 'failed')
  await coordinator.submitTask(sleeps({ id: 'open' }))
  await until(() => coordinator.getAgentState('s-peer-1') === 'working')
  const waits = assert.rejects(coordinator.awaitTask('open'), failsWith('Closing'))
  await coordinator.cleanup()
  await waits
})
