'use strict'
// The stand-alone load balancer, over the package's artifacts and somebody else's.

const { createArtifactStorage, createMeshLoadBalancer } = require('meshwork')
const { assert, test, until, failsWith, run } = require('./support.js')
const { TheirArtifacts } = require('./their-artifacts.js')

const QUIET = { enableAutoRebalance: false }

/** Peers with these tasks each, stored where discovery would store them. */
async function stored(artifactStorage, tasks, swarm = 's') {
  for (const [peerId, activeTasks] of Object.entries(tasks)) {
    const metrics = { successRate: 1, averageResponseTime: 0, tasksCompleted: 0, tasksFailed: 0 }
    const state = { peerId, capabilities: ['x'], load: activeTasks.length, state: 'idle', activeTasks, metrics, lastUpdated: 1 }
    await artifactStorage.store(`mesh/${swarm}/peers/${peerId}.json`, Buffer.from(JSON.stringify(state)))
  }
}

/** Who has which tasks, as it is stored. */
async function tasksOf(artifactStorage, swarm = 's') {
  const found = {}
  for (const { key } of await artifactStorage.list(`mesh/${swarm}/peers/`)) {
    const { peerId, activeTasks, load } = JSON.parse(Buffer.from(await artifactStorage.retrieve(key)).toString())
    assert.equal(load, activeTasks.length)
    found[peerId] = activeTasks
  }
  return found
}

const counts = tasks => Object.values(tasks).map(all => all.length)
const sixAndNone = () => ({ a: ['1', '2', '3', '4', '5', '6'], b: [] })

/** A balancer, closed with its test. */
function balancer(t, config, artifactStorage = createArtifactStorage()) {
  const made = createMeshLoadBalancer(config, { artifactStorage })
  t.after(() => made.close())
  return made
}

test('it knows loads, and who has least to do', async t => {
  const made = balancer(t, QUIET)
  for (const [peer, load] of [['a', 4], ['b', 1], ['c', 1], ['10', 0.5], ['d', 0]]) await made.updatePeerLoad(peer, load)
  assert.deepEqual(['a', 'b', '10', 'nobody'].map(peer => made.getPeerLoad(peer)), [4, 1, 0.5, 0])
  assert.equal(made.selectLeastLoadedPeer(['a', 'c', 'b']), 'b')
  assert.equal(made.selectLeastLoadedPeer(['a', 'c', 'nobody', 'd']), 'd')
  assert.throws(() => made.selectLeastLoadedPeer([]), failsWith('NoCandidates', 'nothing changed'))
  await made.updatePeerLoad('a', 0)
  assert.equal(made.getPeerLoad('a'), 0)
  assert.equal(made.getMetrics().loadUpdates, 6)
  assert.deepEqual([made.forgetPeer('b'), made.forgetPeer('b'), made.getPeerLoad('b')], [true, false, 0])
})

test('how load is spread is what one counts by hand', async t => {
  const made = balancer(t, { ...QUIET, imbalanceThreshold: 2 })
  const loads = { a: 8, b: 2, c: 1, d: 1 }
  for (const [peer, load] of Object.entries(loads)) await made.updatePeerLoad(peer, load)
  const spread = made.getLoadDistribution()
  assert.ok(spread.loadByPeer instanceof Map)
  assert.deepEqual(spread, {
    averageLoad: 3,
    minLoad: 1,
    maxLoad: 8,
    variance: 8.5,
    standardDeviation: Math.sqrt(8.5),
    loadByPeer: new Map(Object.entries(loads)),
    overloadedPeers: ['a'],
    underloadedPeers: ['c', 'd'],
  })
  assert.equal(made.getMetrics().currentImbalanceRatio, 8 / 3)
  assert.deepEqual([2.6, 2.7].map(threshold => made.isBalanced(threshold)), [false, true])
  const wide = balancer(t, { ...QUIET, imbalanceThreshold: 3 })
  for (const [peer, load] of Object.entries(loads)) await wide.updatePeerLoad(peer, load)
  assert.deepEqual([wide.getLoadDistribution().overloadedPeers, wide.getLoadDistribution().underloadedPeers], [[], []])
})

test('of nobody there is nothing, and that is balanced', async t => {
  const made = balancer(t, {})
  const nothing = { averageLoad: 0, minLoad: 0, maxLoad: 0, variance: 0, standardDeviation: 0, loadByPeer: new Map(), overloadedPeers: [], underloadedPeers: [] }
  assert.deepEqual(made.getLoadDistribution(), nothing)
  assert.equal(made.isBalanced(1), true)
  assert.deepEqual(made.getMetrics(), {
    totalRebalances: 0,
    successfulRebalances: 0,
    failedRebalances: 0,
    averageRebalanceTimeMs: 0,
    tasksRedistributed: 0,
    loadUpdates: 0,
    currentImbalanceRatio: 1,
  })
  await made.rebalance('no-such-swarm')
  assert.equal(made.getMetrics().successfulRebalances, 1)
})

for (const [whose, make] of [['ours', createArtifactStorage], ['theirs', () => new TheirArtifacts()]]) {
  test(`rebalance moves stored tasks until they are even, and counts them (${whose})`, async t => {
    const artifactStorage = make()
    await stored(artifactStorage, sixAndNone())
    await stored(artifactStorage, sixAndNone(), 'other')
    const made = balancer(t, QUIET, artifactStorage)
    assert.equal(await made.rebalance('s'), undefined)
    const after = await tasksOf(artifactStorage)
    assert.deepEqual(counts(after), [3, 3])
    assert.deepEqual([...after.a, ...after.b].sort(), sixAndNone().a)
    assert.deepEqual(counts(await tasksOf(artifactStorage, 'other')), [6, 0])
    const { totalRebalances, successfulRebalances, failedRebalances, tasksRedistributed, averageRebalanceTimeMs } = made.getMetrics()
    assert.deepEqual([totalRebalances, successfulRebalances, failedRebalances, tasksRedistributed], [1, 1, 0, 3])
    assert.ok(averageRebalanceTimeMs > 0)
    assert.deepEqual(['a', 'b'].map(peer => made.getPeerLoad(peer)), [3, 3])
    await made.rebalance('s')
    assert.deepEqual(await tasksOf(artifactStorage), after)
    assert.deepEqual([made.getMetrics().totalRebalances, made.getMetrics().tasksRedistributed], [2, 3])
  })
}

test('with fewer tasks than minTasksForRebalance nothing is moved', async t => {
  for (const [minTasksForRebalance, expected] of [[7, [6, 0]], [6, [3, 3]]]) {
    const artifactStorage = createArtifactStorage()
    await stored(artifactStorage, sixAndNone())
    await balancer(t, { ...QUIET, minTasksForRebalance }, artifactStorage).rebalance('s')
    assert.deepEqual(counts(await tasksOf(artifactStorage)), expected)
  }
})

/** Looks by itself: the most often that there is. */
const ACTS = { rebalanceIntervalMs: 1 }

test('by itself it acts where the threshold is passed, or aggressively; else it only looks', async t => {
  // 4 is 1.33 times the mean of 3.
  const slightly = { a: ['1', '2', '3', '4'], b: ['5', '6'] }
  const cases = [
    [ACTS, sixAndNone(), [3, 3]],
    [{ ...ACTS, imbalanceThreshold: 1.2 }, slightly, [3, 3]],
    [{ ...ACTS, aggressiveRebalancing: true }, slightly, [3, 3]],
  ]
  for (const [config, tasks, expected] of cases) {
    const artifactStorage = createArtifactStorage()
    await stored(artifactStorage, tasks)
    const made = balancer(t, config, artifactStorage)
    await until(() => made.getMetrics().totalRebalances === 1)
    assert.deepEqual(counts(await tasksOf(artifactStorage)), expected)
    assert.equal(made.getMetrics().currentImbalanceRatio, 1)
  }
  const artifactStorage = new TheirArtifacts()
  await stored(artifactStorage, slightly)
  let looks = 0
  artifactStorage.list = async prefix => {
    looks += 1
    return TheirArtifacts.prototype.list.call(artifactStorage, prefix)
  }
  const made = balancer(t, ACTS, artifactStorage)
  await until(() => looks > 20)
  assert.deepEqual([made.getMetrics().totalRebalances, made.isBalanced(1.5)], [0, true])
  assert.deepEqual(counts(await tasksOf(artifactStorage)), [4, 2])
})

test('enableAutoRebalance: false looks at nothing by itself, and neither does one that is closed', async t => {
  const artifactStorage = new TheirArtifacts()
  let looks = 0
  artifactStorage.list = async () => { looks += 1; return [] }
  const made = balancer(t, ACTS, artifactStorage)
  await until(() => looks > 3)
  await made.close()
  await made.close()
  balancer(t, { ...ACTS, ...QUIET }, artifactStorage)
  // One that looks is the clock: what had begun when it was closed has ended long before it has looked so often.
  const clock = new TheirArtifacts()
  let ticks = 0
  clock.list = async () => { ticks += 1; return [] }
  balancer(t, ACTS, clock)
  await until(() => ticks > 20)
  const before = looks
  await until(() => ticks > 60)
  assert.equal(looks, before)
  assert.throws(() => made.getMetrics(), failsWith('Closed'))
  assert.throws(() => made.selectLeastLoadedPeer(['a']), failsWith('Closed'))
  await assert.rejects(made.updatePeerLoad('a', 1), failsWith('Closed'))
  await assert.rejects(made.rebalance('s'), failsWith('Closed'))
})

test('a storage that fails fails the rebalance and is counted; what it says is told', async t => {
  const artifactStorage = new TheirArtifacts()
  await stored(artifactStorage, sixAndNone())
  const made = balancer(t, QUIET, artifactStorage)
  artifactStorage.store = async () => { throw new Error('disk full') }
  await assert.rejects(made.rebalance('s'), error => failsWith('RebalanceFailed', 'disk full')(error) && error.moved === 0)
  artifactStorage.list = () => 'garbage'
  await assert.rejects(made.rebalance('s'), failsWith('RebalanceFailed', 'no task was moved'))
  const { totalRebalances, successfulRebalances, failedRebalances } = made.getMetrics()
  assert.deepEqual([totalRebalances, successfulRebalances, failedRebalances], [2, 0, 2])
  assert.deepEqual(counts(Object.fromEntries([...artifactStorage.all].map(([key, bytes]) => [key, JSON.parse(bytes).activeTasks]))), [6, 0])
})

test('garbage is refused, and names what it is', async t => {
  const artifactStorage = createArtifactStorage()
  const cases = [
    [{ imbalanceThreshold: 0.9 }, 'imbalanceThreshold'],
    [{ imbalanceThreshold: '2' }, 'imbalanceThreshold'],
    [{ imbalanceThreshold: Infinity }, 'imbalanceThreshold'],
    [{ rebalanceIntervalMs: 0 }, 'rebalanceIntervalMs'],
    [{ rebalanceIntervalMs: 1.5 }, 'rebalanceIntervalMs'],
    [{ enableAutoRebalance: 1 }, 'enableAutoRebalance'],
    [{ aggressiveRebalancing: null }, 'aggressiveRebalancing'],
    [{ minTasksForRebalance: -1 }, 'minTasksForRebalance'],
    [{ treshold: 1 }, 'treshold'],
  ]
  for (const [config, field] of cases) {
    assert.throws(() => createMeshLoadBalancer(config, { artifactStorage }), error => failsWith('InvalidConfig', field)(error) && error.field === field)
  }
  for (const config of [null, 5, 'x', []]) assert.throws(() => createMeshLoadBalancer(config, { artifactStorage }), failsWith('InvalidConfig'))
  for (const given of [undefined, null, {}, { artifactStorage: {} }, { artifactStorage: 5 }]) {
    assert.throws(() => createMeshLoadBalancer({}, given), failsWith('InvalidDependency'))
  }
  assert.throws(() => createMeshLoadBalancer({ artifactStorage: new TheirArtifacts() }, { artifactStorage }), failsWith('InvalidConfig', 'another object'))
  const made = balancer(t, { ...QUIET, artifactStorage }, artifactStorage)
  for (const bad of [undefined, null, 5, {}, ['x'], '\ud800']) {
    await assert.rejects(made.updatePeerLoad(bad, 1), failsWith('InvalidArgument', 'peerId'))
    await assert.rejects(made.rebalance(bad), failsWith('InvalidArgument', 'swarmId'))
    assert.throws(() => made.getPeerLoad(bad), failsWith('InvalidArgument', 'peerId'))
    assert.throws(() => made.forgetPeer(bad), failsWith('InvalidArgument', 'peerId'))
    assert.throws(() => made.selectLeastLoadedPeer([bad].flat().includes('x') ? 'x' : [bad]), failsWith('InvalidArgument', 'peerIds'))
  }
  for (const bad of [undefined, null, '1', NaN]) {
    await assert.rejects(made.updatePeerLoad('a', bad), failsWith('InvalidArgument', 'load'))
    assert.throws(() => made.isBalanced(bad), failsWith('InvalidArgument', 'threshold'))
  }
  for (const bad of [-1, Infinity, 2 ** 54]) await assert.rejects(made.updatePeerLoad('a', bad), failsWith('InvalidLoad', 'nothing changed'))
  await assert.rejects(made.updatePeerLoad('', 1), failsWith('InvalidPeerId'))
  assert.deepEqual([made.getMetrics().loadUpdates, made.getLoadDistribution().loadByPeer.size], [0, 0])
})

test('one that acts by itself does not keep Node alive', async () => {
  const { code, out, err } = await run(`
    const { createArtifactStorage, createMeshLoadBalancer } = require('meshwork')
    const balancer = createMeshLoadBalancer({ rebalanceIntervalMs: 1 }, { artifactStorage: createArtifactStorage() })
    balancer.rebalance('s').then(() => console.log(balancer.getMetrics().successfulRebalances))
  `)
  assert.deepEqual([code, out, err], [0, '1\n', ''])
})
