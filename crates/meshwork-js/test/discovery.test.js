'use strict'
// The stand-alone peer discovery, over the package's broker and somebody else's.

const { createMessageBroker, createArtifactStorage, createPeerDiscoverySystem } = require('meshwork')
const { assert, test, message, until, failsWith, run } = require('./support.js')
const { TheirBroker } = require('./their-broker.js')
const { TheirArtifacts } = require('./their-artifacts.js')

/** Nothing of it depends on how fast the machine is. */
const PATIENT = { heartbeatIntervalMs: 1_000, peerTimeoutMs: 600_000 }

const surroundings = () => ({ messageBus: createMessageBroker(), artifactStorage: createArtifactStorage() })

/** A discovery of one peer for each id, started; stopped with its test. */
async function side(t, given, ids, config = PATIENT, swarm = 's') {
  const discovery = createPeerDiscoverySystem(config, given)
  t.after(() => discovery.stopDiscovery())
  for (const id of ids) await discovery.updatePeerCapabilities(id, ['all', `only-${id}`])
  await discovery.startDiscovery(swarm)
  return discovery
}

for (const [whose, make] of [['ours', surroundings], ['theirs', () => ({ messageBus: new TheirBroker(), artifactStorage: new TheirArtifacts() })]]) {
  test(`two on one broker find each other, whatever came first (${whose})`, async t => {
    const given = make()
    const here = await side(t, given, ['a'])
    const there = await side(t, given, ['b', 'c'])
    for (const discovery of [here, there]) {
      await discovery.awaitPeers(['a', 'b', 'c'], 60_000)
      assert.deepEqual(discovery.findPeersByCapability('all'), ['a', 'b', 'c'])
      assert.deepEqual(discovery.findPeersByCapability('only-b'), ['b'])
      assert.deepEqual(discovery.findPeersByCapabilities(['all', 'only-c']), ['c'])
      assert.deepEqual(discovery.findPeersByCapabilities(['only-b', 'only-c']), [])
      assert.deepEqual(discovery.findPeersByCapabilities([]), ['a', 'b', 'c'])
      const all = discovery.getAllPeers()
      assert.ok(all instanceof Map)
      assert.deepEqual([...all.keys()], ['a', 'b', 'c'])
      const { lastSeen, ...info } = all.get('b')
      assert.deepEqual(info, { id: 'b', capabilities: ['all', 'only-b'], load: 0, state: 'idle' })
      assert.ok(lastSeen > 1e12 && lastSeen <= Date.now())
      assert.equal(discovery.getPeerInfo('b').id, 'b')
      assert.ok(['a', 'b', 'c'].every(id => discovery.isPeerAlive(id, 600_000)))
    }
    await there.updatePeerCapabilities('b', ['new'])
    await until(() => here.findPeersByCapability('new').length === 1)
    assert.deepEqual(here.findPeersByCapability('only-b'), [])
    await there.forgetLocalPeer('b')
    await until(() => here.getPeerInfo('b').state === 'terminated')
    assert.equal(here.isPeerAlive('b', 600_000), false)
    assert.deepEqual(here.findPeersByCapability('all'), ['a', 'c'])
    const { activePeers, totalPeersDiscovered, stalePeers } = here.getMetrics()
    assert.deepEqual({ activePeers, totalPeersDiscovered, stalePeers }, { activePeers: 2, totalPeersDiscovered: 3, stalePeers: 0 })
  })
}

test('ten peers on ten sides all find each other', async t => {
  const given = surroundings()
  const ids = Array.from({ length: 10 }, (_, n) => `peer-${n}`)
  const sides = ids.map(id => [id, createPeerDiscoverySystem(PATIENT, given)])
  t.after(() => Promise.all(sides.map(([, discovery]) => discovery.stopDiscovery())))
  for (const [id, discovery] of sides) await discovery.updatePeerCapabilities(id, ['x'])
  const began = performance.now()
  await Promise.all(sides.map(([, discovery]) => discovery.startDiscovery('ten')))
  await Promise.all(sides.map(([, discovery]) => discovery.awaitPeers(ids, 60_000)))
  t.diagnostic(`10 sides of one peer each knew all 10 after ${(performance.now() - began).toFixed(1)} ms`)
  for (const [, discovery] of sides) assert.deepEqual(discovery.findPeersByCapability('x'), ids)
})

test('metrics are what an observer of the topics counts', async t => {
  const given = surroundings()
  const seen = []
  given.messageBus.subscribe('mesh.s.>', heard => { seen.push(heard) })
  const from = id => seen.filter(({ type, payload }) => type === 'peer-announcement' && payload.id === id).length
  const here = await side(t, given, ['a'])
  const there = await side(t, given, ['b'])
  await here.awaitPeers(['a', 'b'], 60_000)
  await there.awaitPeers(['a', 'b'], 60_000)
  await until(() => here.getMetrics().peerAnnouncementsReceived === from('b') && from('b') > 0)
  await until(() => there.getMetrics().averageDiscoveryLatencyMs > 0)
  const sent = () => [here, there].reduce((sum, one) => sum + one.getMetrics().discoveryBroadcastsSent, 0)
  await until(() => sent() === seen.filter(({ type }) => type === 'peer-query').length)
  assert.equal(sent(), 2)
  assert.ok(Math.abs(there.getMetrics().lastDiscoveryTime - Date.now()) < 600_000)
  assert.deepEqual(Object.keys(here.getMetrics()), ['totalPeersDiscovered', 'activePeers', 'stalePeers', 'discoveryBroadcastsSent', 'peerAnnouncementsReceived', 'averageDiscoveryLatencyMs', 'lastDiscoveryTime'])
})

test('a silent peer is stale after peerTimeoutMs, keeps its record, and comes back', async t => {
  const given = surroundings()
  const here = await side(t, given, ['a'], { heartbeatIntervalMs: 5, peerTimeoutMs: 50 })
  const there = await side(t, given, ['b'], { heartbeatIntervalMs: 5, peerTimeoutMs: 50 })
  await here.awaitPeers(['b'], 60_000)
  await there.stopDiscovery()
  await until(() => here.getMetrics().stalePeers === 1)
  assert.deepEqual(here.findPeersByCapability('all'), ['a'])
  assert.equal(here.getPeerInfo('b').id, 'b')
  // The caller's own timeout counts, not the configured one.
  assert.deepEqual([here.isPeerAlive('b', 600_000), here.isPeerAlive('b', 1)], [true, false])
  await there.startDiscovery('s')
  await here.awaitPeers(['a', 'b'], 60_000)
  await there.stopDiscovery()
  await there.stopDiscovery()
})

test('heartbeats and queries come as often as they are configured', async t => {
  const given = surroundings()
  // At the defaults, either would take longer than the test has.
  const heard = { 'peer-heartbeat': 0, 'peer-query': 0, 'peer-announcement': 0 }
  given.messageBus.subscribe('mesh.s.*', ({ type }) => { heard[type] += 1 })
  await side(t, given, ['a'], { heartbeatIntervalMs: 1, discoveryIntervalMs: 1 })
  await until(() => heard['peer-heartbeat'] >= 200 && heard['peer-query'] >= 5)
})

test('states are shared as artifacts where they are to be', async t => {
  for (const enableArtifactSharing of [true, false]) {
    const { artifactStorage } = surroundings()
    const config = { ...PATIENT, enableArtifactSharing }
    const early = await side(t, { artifactStorage, messageBus: createMessageBroker() }, ['a'], config)
    const stored = (await artifactStorage.list()).map(({ key }) => key)
    assert.deepEqual(stored, enableArtifactSharing ? ['mesh/s/peers/a.json'] : [])
    await early.stopDiscovery()
    // They can't hear each other.
    const late = await side(t, { artifactStorage, messageBus: createMessageBroker() }, ['b'], config)
    assert.deepEqual([...late.getAllPeers().keys()], enableArtifactSharing ? ['a', 'b'] : ['b'])
    assert.deepEqual(late.getPeerInfo('a')?.capabilities, enableArtifactSharing ? ['all', 'only-a'] : undefined)
    assert.deepEqual(late.findPeersByCapability('all'), ['b'])
  }
})

test('it is for one swarm at a time, and for no other than the configured one', async t => {
  const given = surroundings()
  const here = await side(t, given, ['a'], { ...PATIENT, swarmId: 's' })
  await here.startDiscovery('s')
  await assert.rejects(here.startDiscovery('other'), failsWith('OtherSwarm', 'nothing changed'))
  const any = await side(t, given, ['b'], PATIENT)
  await assert.rejects(any.startDiscovery('other'), failsWith('DiscoveryRuns', 'stopped'))
  await any.stopDiscovery()
  await any.startDiscovery('other')
  assert.deepEqual([...any.getAllPeers().keys()], ['b'])
  await assert.rejects(here.updatePeerCapabilities('', []), failsWith('InvalidPeerId'))
  await assert.rejects(here.updatePeerCapabilities('x', ['y'.repeat(20_000)]), failsWith('TooLarge', 'nothing changed'))
})

test('who speaks for a peer is the side that heard of it first', async t => {
  const given = surroundings()
  const here = await side(t, given, ['a'])
  const there = await side(t, given, ['b'])
  await there.awaitPeers(['a'], 60_000)
  await assert.rejects(there.updatePeerCapabilities('a', []), failsWith('NotLocal', 'nothing changed'))
  assert.deepEqual(there.getPeerInfo('a').capabilities, ['all', 'only-a'])
  await assert.rejects(here.forgetLocalPeer('nobody'), failsWith('UnknownPeer'))
})

test('of what is not known there is nothing', async () => {
  const discovery = createPeerDiscoverySystem({}, surroundings())
  assert.equal(discovery.getPeerInfo('nobody'), undefined)
  assert.equal(discovery.isPeerAlive('nobody', 1e9), false)
  assert.deepEqual(discovery.findPeersByCapability('x'), [])
  assert.deepEqual(discovery.findPeersByCapabilities([]), [])
  assert.deepEqual(discovery.getAllPeers(), new Map())
  assert.deepEqual(Object.values(discovery.getMetrics()), [0, 0, 0, 0, 0, 0, 0])
  await discovery.stopDiscovery()
  await assert.rejects(discovery.awaitPeers(['x', 'y'], 1), error => {
    assert.deepEqual([error.code, error.missing, error.present], ['PeersMissing', ['x', 'y'], 0])
    return true
  })
  await assert.rejects(discovery.awaitPeers(1, 1), failsWith('PeersMissing', '0 peers were there'))
})

test('garbage is refused, and names what it is', async () => {
  const given = surroundings()
  const cases = [
    [{ heartbeatIntervalMs: 0 }, 'heartbeatIntervalMs'],
    [{ heartbeatIntervalMs: 1.5 }, 'heartbeatIntervalMs'],
    [{ heartbeatIntervalMs: '1' }, 'heartbeatIntervalMs'],
    [{ discoveryIntervalMs: -1 }, 'discoveryIntervalMs'],
    [{ discoveryIntervalMs: NaN }, 'discoveryIntervalMs'],
    [{ peerTimeoutMs: 1_000 }, 'peerTimeoutMs'],
    [{ heartbeatIntervalMs: 9_000 }, 'peerTimeoutMs'],
    [{ enableArtifactSharing: 'yes' }, 'enableArtifactSharing'],
    [{ swarmId: 'a.b>' }, 'swarmId'],
    [{ swarmId: 5 }, 'swarmId'],
    [{ hearbeatIntervalMs: 5 }, 'hearbeatIntervalMs'],
  ]
  for (const [config, field] of cases) {
    assert.throws(() => createPeerDiscoverySystem(config, given), error => failsWith('InvalidConfig', field)(error) && error.field === field)
  }
  for (const config of [null, 5, 'x', []]) assert.throws(() => createPeerDiscoverySystem(config, given), failsWith('InvalidConfig'))
  for (const dependencies of [undefined, null, {}, { messageBus: given.messageBus }, { ...given, messageBus: { publish() {} } }]) {
    assert.throws(() => createPeerDiscoverySystem({}, dependencies), failsWith('InvalidDependency'))
  }
  assert.throws(() => createPeerDiscoverySystem({ messageBus: createMessageBroker() }, given), failsWith('InvalidConfig', 'another object'))
  const discovery = createPeerDiscoverySystem({ ...given }, given)
  for (const bad of [undefined, null, 5, {}, ['x'], '\ud800']) {
    await assert.rejects(discovery.startDiscovery(bad), failsWith('InvalidArgument', 'swarmId'))
    await assert.rejects(discovery.updatePeerCapabilities(bad, []), failsWith('InvalidArgument', 'peerId'))
    await assert.rejects(discovery.updatePeerCapabilities('a', bad?.[0] === 'x' ? [5] : bad), failsWith('InvalidArgument', 'capabilities'))
    await assert.rejects(discovery.forgetLocalPeer(bad), failsWith('InvalidArgument', 'peerId'))
    assert.throws(() => discovery.findPeersByCapability(bad), failsWith('InvalidArgument', 'capability'))
    assert.throws(() => discovery.findPeersByCapabilities('x'), failsWith('InvalidArgument', 'capabilities'))
    assert.throws(() => discovery.getPeerInfo(bad), failsWith('InvalidArgument', 'peerId'))
    assert.throws(() => discovery.isPeerAlive(bad, 1), failsWith('InvalidArgument', 'peerId'))
  }
  for (const bad of [undefined, null, '1', NaN, -1, Infinity]) {
    assert.throws(() => discovery.isPeerAlive('a', bad), failsWith('InvalidArgument', 'timeoutMs'))
  }
  for (const bad of [-1, 1.5, 'a', null, [5]]) await assert.rejects(discovery.awaitPeers(bad, 1), failsWith('InvalidArgument', 'peers'))
  for (const bad of ['', 'a b', '>']) await assert.rejects(discovery.startDiscovery(bad), failsWith('InvalidTopic'))
})

test('nonsense on its topics is counted, and changes nothing', async t => {
  const given = surroundings()
  const here = await side(t, given, ['a'])
  for (const payload of [null, 5, {}, { id: 'x' }, { id: 'x', capabilities: 'y' }]) {
    await given.messageBus.publish('mesh.s.discovery', message(payload, { type: 'peer-announcement' }))
  }
  await until(() => here.getFaults().badMessages === 5)
  assert.deepEqual([...here.getAllPeers().keys()], ['a'])
})

test('a broker of somebody else has nothing of it left after the stop', async t => {
  const messageBus = new TheirBroker()
  const here = await side(t, { messageBus, artifactStorage: new TheirArtifacts() }, ['a'])
  const subscribed = () => [...messageBus.topics.values()].reduce((sum, handlers) => sum + handlers.length, 0)
  assert.equal(subscribed(), 3)
  await here.stopDiscovery()
  assert.equal(subscribed(), 0)
  await here.startDiscovery('s')
  assert.equal(subscribed(), 3)
})

test('a broker that refuses, and a storage that fails, fail the start and say why', async t => {
  const messageBus = new TheirBroker()
  const subscribe = messageBus.subscribe.bind(messageBus)
  messageBus.subscribe = () => { throw new Error('no topics today') }
  const artifactStorage = new TheirArtifacts()
  const discovery = createPeerDiscoverySystem(PATIENT, { messageBus, artifactStorage })
  t.after(() => discovery.stopDiscovery())
  await assert.rejects(discovery.startDiscovery('s'), failsWith('Foreign', 'no topics today'))
  messageBus.subscribe = subscribe
  artifactStorage.list = async () => { throw new Error('disk on fire') }
  await assert.rejects(discovery.startDiscovery('s'), failsWith('Foreign', 'disk on fire'))
  artifactStorage.list = TheirArtifacts.prototype.list
  artifactStorage.store = async () => { throw new Error('disk full') }
  await discovery.startDiscovery('s')
  await discovery.updatePeerCapabilities('a', ['x'])
  // Nobody is kept waiting by a state that can't be stored, and it is counted.
  await until(() => discovery.getFaults().unstored === 1)
  assert.deepEqual(discovery.findPeersByCapability('x'), ['a'])
})

const PROGRAM = `
  const { createMessageBroker, createArtifactStorage, createPeerDiscoverySystem } = require('meshwork')
  const given = { messageBus: createMessageBroker(), artifactStorage: createArtifactStorage() }
  const make = async id => {
    const discovery = createPeerDiscoverySystem({ heartbeatIntervalMs: 1, discoveryIntervalMs: 1 }, given)
    await discovery.updatePeerCapabilities(id, ['x'])
    await discovery.startDiscovery('s')
    return discovery
  }
`

test('it does not keep Node alive, running or stopped', async () => {
  for (const end of ['', 'await a.stopDiscovery(); await b.stopDiscovery()']) {
    const { code, out, err } = await run(`${PROGRAM}
      Promise.all([make('a'), make('b')]).then(async ([a, b]) => {
        await a.awaitPeers(['a', 'b'], 30_000)
        ${end}
        console.log(a.findPeersByCapability('x').join())
      })
    `)
    assert.deepEqual([code, out, err], [0, 'a,b\n', ''])
  }
})

test('one that runs goes on when nobody holds it', async () => {
  const { code, out, err } = await run(`${PROGRAM}
    require('node:v8').setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    make('forgotten').then(async () => {
      for (let n = 0; n < 10; n += 1) {
        gc()
        await new Promise(setImmediate)
      }
      const later = await make('later')
      await later.awaitPeers(['forgotten'], 30_000)
      console.log(later.isPeerAlive('forgotten', 30_000))
    })
  `)
  assert.deepEqual([code, out, err], [0, 'true\n', ''])
})
