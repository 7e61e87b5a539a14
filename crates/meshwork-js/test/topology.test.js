'use strict'
// The topology router, and the coordinators that it makes.

const { createMessageBroker, createTopologyRouter } = require('meshwork')
const { assert, test, signal, failsWith, run } = require('./support.js')
const { TheirBroker } = require('./their-broker.js')
const { TheirArtifacts } = require('./their-artifacts.js')
const { SILENT, task, dependencies, until } = require('./world.js')

const ECHO = [{ capabilities: ['x'], agent: ({ id }) => id }]

/** A router, and how to have a coordinator of it that is initialized, and ended with its test. */
function world(t, { agents = ECHO, given = {} } = {}) {
  const router = createTopologyRouter(dependencies(given, agents))
  let swarms = 0
  const started = async config => {
    swarms += 1
    const meshConfig = { swarmId: `s${swarms}`, pauseIdleAfterMs: null, ...config.meshConfig }
    const coordinator = router.selectCoordinator({ ...config, meshConfig })
    t.after(() => coordinator.cleanup())
    assert.equal(coordinator.isReady(), false)
    await coordinator.initialize()
    return coordinator
  }
  return { router, started }
}

const select = (router, config) => () => router.selectCoordinator(config)

test('it recommends a mesh for 1 to 7 agents, a hierarchy from 8, a hybrid from 50', () => {
  const router = createTopologyRouter(dependencies())
  const recommended = [1, 7, 8, 49, 50, 10_000].map(count => router.getRecommendedTopology(count))
  assert.deepEqual(recommended, ['mesh', 'mesh', 'hierarchical', 'hierarchical', 'hybrid', 'hybrid'])
  for (const bad of [0, -1, 1.5, NaN, Infinity, '5', null, undefined]) {
    assert.throws(() => router.getRecommendedTopology(bad), failsWith('InvalidArgument', 'agentCount'))
  }
})

test('it judges a topology: warnings for what is not the best, errors for what can not be', () => {
  const router = createTopologyRouter(dependencies())
  assert.deepEqual(router.validateTopology('mesh', 3), { valid: true, errors: [], warnings: [], suggestions: [] })
  assert.deepEqual(router.validateTopology('auto', 100), { valid: true, errors: [], warnings: [], suggestions: [] })
  const forced = router.validateTopology('mesh', 60)
  assert.deepEqual([forced.valid, forced.errors, forced.warnings.length, forced.recommendedTopology], [true, [], 1, 'hybrid'])
  assert.ok(forced.suggestions.length > 0 && forced.suggestions.every(text => typeof text === 'string'))
  assert.equal(router.getMetrics().validationErrors, 0)
  for (const count of [0, -3]) {
    const never = router.validateTopology('hierarchical', count)
    assert.deepEqual([never.valid, never.errors.length], [false, 1])
    assert.match(never.errors[0], /at least 1/)
  }
  assert.deepEqual(router.getMetrics(), {
    totalSelections: 0,
    meshSelections: 0,
    hierarchicalSelections: 0,
    hybridSelections: 0,
    topologyOverrides: 0,
    validationErrors: 2,
  })
  for (const bad of ['star', 'Mesh', '', 5, null, undefined, {}]) assert.throws(() => router.validateTopology(bad, 3), failsWith('InvalidArgument', 'topology'))
  for (const bad of [1.5, NaN, Infinity, '5', null, undefined]) assert.throws(() => router.validateTopology('mesh', bad), failsWith('InvalidArgument', 'agentCount'))
})

const CHOICES = [
  { topology: 'mesh', maxAgents: 5 },
  { topology: 'hierarchical', maxAgents: 9 },
  { topology: 'hybrid', maxAgents: 10 },
  { topology: 'auto', maxAgents: 3 },
  { topology: 'auto', maxAgents: 8 },
  { topology: 'auto', maxAgents: 50 },
]

for (const [whose, given] of [['ours', () => ({})], ['theirs', () => ({ messageBus: new TheirBroker(), artifactStorage: new TheirArtifacts(), logger: SILENT })]]) {
  test(`every coordinator that it makes runs tasks to completion, and is counted (${whose})`, async t => {
    const { router, started } = world(t, { given: given() })
    for (const choice of CHOICES) {
      const coordinator = await started(choice)
      for (let n = 0; n < 20; n += 1) {
        const peer = await coordinator.assignTaskToPeer(task(`t${n}`, { requiredCapabilities: ['x'] }))
        assert.ok(coordinator.getActiveAgents().includes(peer))
      }
      assert.equal(await coordinator.waitForMeshCompletion(), true)
      const { completedTasks, failedTasks, totalTasks } = coordinator.getMetrics()
      assert.deepEqual({ completedTasks, failedTasks, totalTasks }, { completedTasks: 20, failedTasks: 0, totalTasks: 20 })
      assert.equal((await coordinator.getTask('t7')).result, 't7')
      await coordinator.cleanup()
    }
    const { topologyOverrides, ...counted } = router.getMetrics()
    assert.deepEqual(counted, { totalSelections: 6, meshSelections: 2, hierarchicalSelections: 2, hybridSelections: 2, validationErrors: 0 })
    assert.equal(topologyOverrides, 1)
  })
}

test('who knows whom is what the topology says', async t => {
  const { started } = world(t)
  const mesh = await started({ topology: 'mesh', maxAgents: 3 })
  assert.equal(mesh.queen(), undefined)
  for (const { id, neighbors } of mesh.getActivePeers()) assert.deepEqual([...neighbors, id].sort(), ['s1-peer-1', 's1-peer-2', 's1-peer-3'])
  const tree = await started({ topology: 'hierarchical', maxAgents: 9, hierarchicalConfig: { minWorkers: 6, branching: 2 } })
  assert.equal(tree.queen(), 's2-peer-1')
  const sizes = tree.getActivePeers().map(peer => peer.neighbors.size)
  // Queen and six workers, two below each: three peers have a next level.
  assert.deepEqual(sizes, [2, 3, 3, 1, 1, 1, 1])
  const hybrid = await started({ topology: 'hybrid', maxAgents: 14 })
  const cells = hybrid.getActivePeers().map(peer => peer.neighbors.size)
  // Two cells of seven, whose leads know each other too.
  assert.deepEqual(cells.sort(), [...Array(12).fill(6), 7, 7])
})

test('as many peers begin as there may be, or as are wanted; a queen begins with few workers', async t => {
  const { router, started } = world(t)
  const count = async config => (await started(config)).getMetrics().totalAgents
  assert.equal(await count({ topology: 'mesh', maxAgents: 6 }), 6)
  assert.equal(await count({ topology: 'mesh', maxAgents: 6, meshConfig: { peerCount: 2 } }), 2)
  const still = { autoScale: false }
  assert.equal(await count({ topology: 'hierarchical', maxAgents: 9, hierarchicalConfig: still }), 2)
  assert.equal(await count({ topology: 'hierarchical', maxAgents: 9, hierarchicalConfig: { ...still, minWorkers: 3 } }), 4)
  assert.equal(await count({ topology: 'hierarchical', maxAgents: 9, hierarchicalConfig: still, meshConfig: { peerCount: 5 } }), 5)
  const cases = [
    [{ topology: 'mesh', maxAgents: 6, meshConfig: { peerCount: 7 } }, '1 to maxAgents'],
    [{ topology: 'mesh', maxAgents: 6, meshConfig: { peerCount: 0 } }, '0'],
    [{ topology: 'hierarchical', maxAgents: 9, meshConfig: { peerCount: 10 } }, 'maxWorkers'],
    [{ topology: 'hierarchical', maxAgents: 9, meshConfig: { peerCount: 1 } }, 'a queen'],
  ]
  for (const [config, text] of cases) {
    assert.throws(select(router, config), error => failsWith('InvalidConfig', text)(error) && error.field === 'meshConfig.peerCount')
  }
})

test('the strategy shifts what is chosen', async t => {
  const { router, started } = world(t)
  for (const [strategy, expected] of [[undefined, 's1-peer-1'], ['balanced', 's2-peer-1'], ['adaptive', 's3-peer-1'], ['performance', undefined]]) {
    assert.equal((await started({ topology: 'auto', maxAgents: 10, strategy })).queen(), expected)
  }
  const { hierarchicalSelections, meshSelections } = router.getMetrics()
  assert.deepEqual([hierarchicalSelections, meshSelections], [3, 1])
})

test('a queen adds workers by load: as many as she may, and from the threshold on', async t => {
  const open = signal()
  const { started } = world(t, { agents: [{ capabilities: ['x'], agent: () => open.promise, maxConcurrentTasks: 2 }] })
  const queen = hierarchicalConfig => started({ topology: 'hierarchical', maxAgents: 9, hierarchicalConfig })
  const [busy, late, still] = await Promise.all([{ maxWorkers: 3, scalingThreshold: 0.3 }, { maxWorkers: 3, scalingThreshold: 1 }, { autoScale: false }].map(queen))
  const agents = coordinator => coordinator.getMetrics().totalAgents
  for (const coordinator of [busy, late, still]) await coordinator.assignTaskToPeer(task('t1'))
  await until(() => agents(busy) > 2)
  assert.deepEqual([agents(late), agents(still)], [2, 2])
  for (const coordinator of [busy, late, still]) for (let n = 2; n < 20; n += 1) await coordinator.submitTask(task(`t${n}`))
  await until(() => agents(busy) === 4 && agents(late) === 4)
  assert.equal(agents(still), 2)
  open.resolve('done')
  for (const coordinator of [busy, late, still]) {
    assert.equal(await coordinator.waitForMeshCompletion(), true)
    assert.ok(coordinator.getMetrics().totalAgents <= 4)
  }
})

test('peers vote in every topology, where votes are enabled', async t => {
  const { started } = world(t)
  for (const topology of ['mesh', 'hierarchical', 'hybrid']) {
    const hierarchicalConfig = { minWorkers: 3 }
    const coordinator = await started({ topology, maxAgents: 4, enableConsensus: true, hierarchicalConfig })
    const ids = coordinator.getActiveAgents()
    assert.equal(ids.length, 4)
    const asked = []
    for (const id of ids) {
      coordinator.registerVoter(id, ({ voterId, content, swarmId }) => {
        asked.push({ voterId, content, swarmId })
        return { approve: content.cost < 5 || voterId !== ids[0], reason: `${voterId} says` }
      })
    }
    const cheap = await coordinator.propose({ cost: 1 })
    assert.equal(cheap.approved, true)
    const dear = await coordinator.propose({ cost: 9 })
    // A leader's vote is the only one; of a quorum, most decide.
    const leads = topology === 'hierarchical'
    assert.equal(dear.approved, !leads)
    assert.equal(dear.votes.find(({ voterId }) => voterId === ids[0])?.approve ?? false, false)
    assert.deepEqual([...new Set(asked.map(({ swarmId }) => swarmId))], [ids[0].split('-')[0]])
    assert.equal(new Set(asked.map(({ voterId }) => voterId)).size, leads ? 1 : 4)
    assert.equal(dear.asked, asked.filter(({ content }) => content.cost === 9).length)
  }
  for (const enableConsensus of [false, undefined]) {
    const silent = await started({ topology: 'mesh', maxAgents: 2, enableConsensus, consensusConfig: { threshold: 0.7 } })
    await assert.rejects(silent.propose({}), failsWith('ConsensusDisabled'))
  }
})

test('every field of the consensus decides something', async t => {
  const messageBus = createMessageBroker()
  const { started } = world(t, { given: { messageBus } })
  const voters = async (consensusConfig, votes) => {
    const coordinator = await started({ topology: 'mesh', maxAgents: votes.length, enableConsensus: true, consensusConfig })
    coordinator.getActiveAgents().forEach((id, index) => coordinator.registerVoter(id, votes[index]))
    return coordinator
  }
  const [yes, no, never] = [() => true, () => false, () => new Promise(() => {})]
  const approved = async (config, votes) => (await (await voters(config, votes)).propose('?')).approved
  assert.equal(await approved({ threshold: 0.6, quorumSize: 3 }, [yes, yes, no]), true)
  assert.equal(await approved({ threshold: 0.7, quorumSize: 3 }, [yes, yes, no]), false)
  assert.equal(await approved({ protocol: 'leader' }, [yes, no, no]), true)
  // One vote is enough where the quorum is one, and not where it is three.
  const short = { timeoutMs: 20, maxRetries: 2 }
  assert.equal(await approved({ ...short, quorumSize: 1 }, [yes, never, never]), true)
  for (const maxRetries of [0, 2]) {
    const silent = await voters({ timeoutMs: 20, maxRetries, quorumSize: 3 }, [yes, never, never])
    let heard = 0
    messageBus.subscribe(`mesh.${silent.getActiveAgents()[0].split('-')[0]}.consensus`, ({ type }) => { heard += type === 'consensus-ask' ? 1 : 0 })
    await assert.rejects(silent.propose('?'), failsWith('Undecided'))
    // Those that have not voted are asked again, so often.
    await until(() => heard === 1 + maxRetries)
  }
})

test('agents are those of meshConfig, or of the controller; settings of the mesh are its own', async t => {
  const { started } = world(t)
  const agents = [{ capabilities: ['y'], agent: () => 'of the mesh' }]
  const own = await started({ topology: 'mesh', maxAgents: 2, meshConfig: { agents, maxConcurrentTasksPerPeer: 1 } })
  await own.submitTask(task('t', { requiredCapabilities: ['y'] }))
  assert.equal((await own.awaitTask('t')).result, 'of the mesh')
  await assert.rejects(own.assignTaskToPeer(task('u', { requiredCapabilities: ['x'] })), failsWith('NoCapablePeer'))
  const closed = await started({ topology: 'hybrid', maxAgents: 2, meshConfig: { enablePeerDiscovery: false } })
  await assert.rejects(closed.spawnAgent({ capabilities: [], agent: () => 1 }), failsWith('DiscoveryDisabled'))
})

test('garbage is refused, names what it is, and is no selection', () => {
  const router = createTopologyRouter(dependencies())
  const mesh = { topology: 'mesh', maxAgents: 3 }
  const cases = [
    [{ ...mesh, topology: undefined }, 'topology'],
    [{ ...mesh, topology: 'star' }, 'topology'],
    [{ ...mesh, maxAgents: undefined }, 'maxAgents'],
    [{ ...mesh, maxAgents: -1 }, 'maxAgents'],
    [{ ...mesh, maxAgents: 1.5 }, 'maxAgents'],
    [{ ...mesh, maxAgents: '3' }, 'maxAgents'],
    [{ ...mesh, strategy: 'fast' }, 'strategy'],
    [{ ...mesh, enableConsensus: 'yes' }, 'enableConsensus'],
    [{ ...mesh, agents: ECHO }, 'agents'],
    [{ ...mesh, hierarchicalConfig: { minWorkers: '1' } }, 'minWorkers'],
    [{ ...mesh, hierarchicalConfig: { workers: 1 } }, 'workers'],
    [{ ...mesh, hierarchicalConfig: 5 }, 'hierarchicalConfig'],
    [{ ...mesh, consensusConfig: { protocol: 'raft' } }, 'protocol'],
    [{ ...mesh, consensusConfig: null }, 'consensusConfig'],
    [{ ...mesh, meshConfig: { completionTimeoutMs: '1' } }, 'completionTimeoutMs'],
    [{ ...mesh, meshConfig: { topology: 'hybrid' } }, 'meshConfig.topology'],
    [{ ...mesh, meshConfig: { consensusConfig: {} } }, 'meshConfig.consensusConfig'],
    [{ ...mesh, meshConfig: { nonsense: 1 } }, 'nonsense'],
    [{ ...mesh, meshConfig: { completionTimeoutMs: 0 } }, 'meshConfig.completionTimeoutMs'],
    [{ ...mesh, meshConfig: { swarmId: '' } }, 'meshConfig.swarmId'],
  ]
  for (const [config, field] of cases) {
    assert.throws(select(router, config), error => failsWith('InvalidConfig', field.split('.').at(-1))(error) && error.field === field, JSON.stringify(config))
  }
  for (const config of [undefined, null, 5, 'mesh', []]) assert.throws(select(router, config), failsWith('InvalidConfig', 'config'))
  for (const meshConfig of [null, 5, []]) assert.throws(select(router, { ...mesh, meshConfig }), failsWith('InvalidConfig', 'config.meshConfig'))
  const other = { ...mesh, meshConfig: { messageBus: createMessageBroker() } }
  assert.throws(select(router, other), failsWith('InvalidConfig', 'another object'))
  const before = router.getMetrics()
  assert.equal(before.validationErrors, 0)
  // What the rules refuse is counted.
  const refused = [
    [{ ...mesh, maxAgents: 0 }, 'maxAgents'],
    [{ ...mesh, hierarchicalConfig: { minWorkers: 0 } }, 'hierarchicalConfig.minWorkers'],
    [{ ...mesh, hierarchicalConfig: { minWorkers: 5, maxWorkers: 2 } }, 'hierarchicalConfig.maxWorkers'],
    [{ ...mesh, hierarchicalConfig: { branching: 0 } }, 'hierarchicalConfig.branching'],
    [{ ...mesh, hierarchicalConfig: { scalingThreshold: 1.1 } }, 'hierarchicalConfig.scalingThreshold'],
    [{ ...mesh, consensusConfig: { threshold: 0 } }, 'consensusConfig'],
  ]
  for (const [config, field] of refused) assert.throws(select(router, config), error => failsWith('InvalidConfig', 'nothing was made')(error) && error.field === field)
  assert.equal(router.getMetrics().validationErrors, refused.length)
  assert.equal(router.getMetrics().totalSelections, before.totalSelections)
  const { messageBus, queryController, artifactStorage, swarmMemory, logger } = dependencies()
  const all = { messageBus, queryController, artifactStorage, swarmMemory, logger }
  for (const name of Object.keys(all)) {
    for (const bad of [undefined, null, 5, {}]) assert.throws(() => createTopologyRouter({ ...all, [name]: bad }), failsWith('InvalidDependency', name))
  }
  for (const bad of [undefined, null, 5]) assert.throws(() => createTopologyRouter(bad), failsWith('InvalidDependency'))
})

test('a router and its coordinators keep Node alive as long as there is work', async () => {
  const { code, out, err } = await run(`
    const { dependencies, task } = require('./test/world.js')
    const { createTopologyRouter } = require('meshwork')
    const router = createTopologyRouter(dependencies({}, [{ capabilities: [], agent: ({ id }) => new Promise(done => setTimeout(done, 5, id)) }]))
    const main = async topology => {
      const coordinator = router.selectCoordinator({ topology, maxAgents: 4, meshConfig: { swarmId: topology } })
      await coordinator.initialize()
      await coordinator.assignTaskToPeer(task('t'))
      coordinator.awaitTask('t').then(({ result }) => console.log(topology, result))
    }
    main('mesh').then(() => main('hierarchical')).then(() => main('hybrid'))
  `)
  assert.deepEqual([code, out.split('\n').sort(), err], [0, ['', 'hierarchical t', 'hybrid t', 'mesh t'], ''])
})
