'use strict'
// Memory: every method, every filter, and what it says of bad input.

const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { createSwarmMemory } = require('meshwork')
const { assert, test, failsWith } = require('./support.js')

const state = (peerId, load) => ({
  peerId,
  capabilities: ['review'],
  load,
  state: 'working',
  activeTasks: ['t-1'],
  metrics: { successRate: 0.5, averageResponseTime: 12.5, tasksCompleted: 1, tasksFailed: 1 },
  lastUpdated: 1_700_000_000_000,
})

test('what was remembered is recalled, newest first', async () => {
  const memory = createSwarmMemory()
  const before = Date.now()
  const ids = []
  for (const content of ['one', { two: [2, null] }, 3, null, undefined]) ids.push(await memory.remember('alice', 'knowledge', content))
  const found = await memory.recall({})
  assert.deepEqual(found.map(entry => entry.id), ids.toReversed())
  assert.deepEqual(found.map(entry => entry.content), [null, null, 3, { two: [2, null] }, 'one'])
  for (const { agentId, type, timestamp } of found) {
    assert.deepEqual([agentId, type], ['alice', 'knowledge'])
    assert.ok(timestamp >= before)
  }
  await memory.close()
})

test('every filter of a query', async () => {
  const memory = createSwarmMemory()
  const remember = (agent, type, content, metadata) => memory.remember(agent, type, content, metadata)
  await remember('alice', 'knowledge', 'quotes nest two deep', { tags: ['parser', 'fast'], taskId: 't-1', objectiveId: 'o-1' })
  await remember('alice', 'result', 'done', { tags: ['parser'], shareLevel: 'public' })
  await remember('bob', 'error', 'secret', { shareLevel: 'private', priority: 2.5 })
  const contents = async query => (await memory.recall(query)).map(entry => entry.content)
  assert.deepEqual(await contents({ agentId: 'alice' }), ['done', 'quotes nest two deep'])
  assert.deepEqual(await contents({ type: 'error' }), ['secret'])
  assert.deepEqual(await contents({ taskId: 't-1' }), ['quotes nest two deep'])
  assert.deepEqual(await contents({ objectiveId: 'o-1' }), ['quotes nest two deep'])
  assert.deepEqual(await contents({ tags: ['parser', 'fast'] }), ['quotes nest two deep'])
  assert.deepEqual(await contents({ shareLevel: 'public' }), ['done'])
  assert.deepEqual(await contents({ text: 'NEST deep' }), ['quotes nest two deep'])
  assert.deepEqual(await contents({ limit: 1 }), ['secret'])
  assert.deepEqual(await contents({ since: Date.now() + 60_000 }), [])
  assert.deepEqual(await contents({ before: 1 }), [])
  assert.equal((await contents({ since: 1, before: Date.now() + 60_000 })).length, 3)
  assert.deepEqual(await contents({ requesterId: 'alice', agentId: 'bob' }), [], 'private entries are their author\'s')
  assert.deepEqual(await contents({ requesterId: 'bob', agentId: 'bob', taskId: undefined }), ['secret'])
  await memory.close()
})

test('sharing makes an entry of the other, and private ones are refused', async () => {
  const memory = createSwarmMemory()
  const id = await memory.remember('alice', 'knowledge', 'shared', { tags: ['x'] })
  assert.equal(await memory.shareMemory(id, 'bob'), undefined)
  const [copy] = await memory.recall({ agentId: 'bob' })
  assert.deepEqual([copy.content, copy.metadata.originalId, copy.metadata.sharedFrom, copy.metadata.sharedTo], ['shared', id, 'alice', 'bob'])
  const secret = await memory.remember('alice', 'knowledge', 'mine', { shareLevel: 'private' })
  await assert.rejects(memory.shareMemory(secret, 'bob'), error => {
    failsWith('Private', 'nothing changed')(error)
    assert.deepEqual([error.id, error.author], [secret, 'alice'])
    return true
  })
  await assert.rejects(memory.shareMemory('nothing', 'bob'), failsWith('UnknownEntry', 'nothing'))
  await memory.close()
})

test('states and loads of peers', async () => {
  const memory = createSwarmMemory({ swarmId: 's' })
  assert.deepEqual(await memory.queryMeshPeers('s'), [])
  assert.equal(await memory.getPeerLoad('a'), undefined)
  await memory.sharePeerState('b', state('b', 2))
  await memory.sharePeerState('a', state('a', 1))
  assert.deepEqual(await memory.queryMeshPeers('s'), [state('a', 1), state('b', 2)])
  await memory.updatePeerLoad('a', 3.5)
  assert.equal(await memory.getPeerLoad('a'), 3.5)
  assert.deepEqual(await memory.queryMeshPeers('other'), [])
  await memory.close()
})

test('a database that is given keeps what is in it', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'memory.db')
  const first = createSwarmMemory({ path })
  const id = await first.remember('alice', 'knowledge', 'kept')
  await first.close()
  const second = createSwarmMemory({ path })
  assert.deepEqual((await second.recall({})).map(entry => entry.id), [id])
  await second.close()
  writeFileSync(join(folder, 'text'), 'no database, but long enough to be looked at as if it were one: '.repeat(40))
  assert.throws(() => createSwarmMemory({ path: join(folder, 'text') }), failsWith('Storage'))
})

test('what can\'t be remembered is refused, with the field', async () => {
  const memory = createSwarmMemory()
  await assert.rejects(memory.remember('a', 'gossip', 1), failsWith('Invalid', 'gossip'))
  await assert.rejects(memory.remember('', 'knowledge', 1), failsWith('Invalid'))
  await assert.rejects(memory.remember('a', 'knowledge', 1, { tags: 'x' }), failsWith('Invalid', 'tags'))
  await assert.rejects(memory.remember('a', 'knowledge', 1, 5), failsWith('Invalid'))
  await assert.rejects(memory.remember('a', 'knowledge', 1n), failsWith('Unserializable'))
  await assert.rejects(memory.remember('a', 'knowledge', 1, { f: () => {} }), failsWith('Unserializable', '"f"'))
  await assert.rejects(memory.remember('a', 'knowledge', 'x'.repeat(1024 * 1024)), failsWith('TooLarge', '1048576'))
  for (const query of [{ kind: 'x' }, { limit: -1 }, { limit: 1.5 }, { type: 'gossip' }, { tags: 5 }, { since: 'now' }]) {
    await assert.rejects(memory.recall(query), failsWith('Invalid', 'query'))
  }
  for (const garbage of [undefined, null, 5, 'x', []]) {
    await assert.rejects(memory.recall(garbage), failsWith('InvalidArgument', 'query'))
    await assert.rejects(memory.sharePeerState('a', garbage), failsWith('InvalidArgument', 'state'))
  }
  for (const garbage of [undefined, null, 5, {}]) {
    await assert.rejects(memory.remember(garbage, 'knowledge', 1), failsWith('InvalidArgument', 'agentId'))
    await assert.rejects(memory.remember('a', garbage, 1), failsWith('InvalidArgument', 'type'))
    await assert.rejects(memory.shareMemory(garbage, 'a'), failsWith('InvalidArgument', 'entryId'))
    await assert.rejects(memory.shareMemory('a', garbage), failsWith('InvalidArgument', 'targetAgentId'))
    await assert.rejects(memory.queryMeshPeers(garbage), failsWith('InvalidArgument', 'swarmId'))
    await assert.rejects(memory.getPeerLoad(garbage), failsWith('InvalidArgument', 'peerId'))
    await assert.rejects(memory.updatePeerLoad(garbage, 1), failsWith('InvalidArgument', 'peerId'))
  }
  for (const load of ['1', NaN, undefined]) await assert.rejects(memory.updatePeerLoad('a', load), failsWith('InvalidArgument', 'load'))
  for (const load of [-1, Infinity]) await assert.rejects(memory.updatePeerLoad('a', load), failsWith('Invalid', 'load'))
  await assert.rejects(memory.sharePeerState('a', { ...state('a', 1), state: 'asleep' }), failsWith('Invalid', 'asleep'))
  await assert.rejects(memory.sharePeerState('a', { peerId: 'a' }), failsWith('Invalid', 'state'))
  assert.deepEqual(await memory.recall({}), [])
  await memory.close()
})

test('configurations that can\'t be used, and a closed memory', async () => {
  assert.throws(() => createSwarmMemory({ swarmId: '' }), failsWith('InvalidConfig', 'swarmId'))
  assert.throws(() => createSwarmMemory({ path: 5 }), failsWith('InvalidConfig', 'expected a string'))
  assert.throws(() => createSwarmMemory({ file: 'x' }), failsWith('InvalidConfig', 'file'))
  const memory = createSwarmMemory()
  await memory.close()
  await memory.close()
  await assert.rejects(memory.recall({}), failsWith('Closed'))
  await assert.rejects(memory.remember('a', 'knowledge', 1), failsWith('Closed'))
})
