'use strict'
// Functions as agents, whatever they do: none can crash Node or hang the swarm, and what they may do works.

const { assert, test, signal, collector, failsWith, run } = require('./support.js')
const { meshwork, task, started, until } = require('./world.js')

/** Runs one task and resolves to how it ended. */
async function outcome(coordinator, id, more) {
  await coordinator.submitTask(task(id, more))
  return coordinator.awaitTask(id)
}

test('any JSON is a result, as it is', async t => {
  const results = [null, 0, -1.5, '', 'ü\u2028"', true, false, [], {}, [1, [2]], { a: { b: [null] } }, 'x'.repeat(100_000), new Date(0)]
  const coordinator = await started(t, ({ input }) => results[input])
  for (const [index, value] of results.entries()) {
    const done = await outcome(coordinator, `t${index}`, { input: index })
    assert.equal(done.state, 'completed', done.error)
    assert.deepEqual(done.result, JSON.parse(JSON.stringify(value)))
  }
  assert.equal('result' in await outcome(coordinator, 'none', { input: 99 }), false)
})

test('what can not be JSON fails the task, and says why', async t => {
  const cycle = {}
  cycle.self = cycle
  let deep = []
  for (let n = 0; n < 500; n += 1) deep = [deep]
  const results = [1n, () => {}, Symbol('s'), NaN, Infinity, new Map(), new Set(), Buffer.from('x'), cycle, deep, '\ud800', { '\ud800': 1 }, { at: { here: undefined, there: NaN } }, { toJSON() { throw new Error('no text of me') } }, { toJSON: () => undefined }, new Proxy({}, { ownKeys() { throw new Error('trap') } })]
  const coordinator = await started(t, ({ input }) => results[input])
  for (const index of results.keys()) {
    const done = await outcome(coordinator, `t${index}`, { input: index })
    assert.equal(done.state, 'failed', String(index))
    assert.match(done.error, /^the result (is no|can't be) JSON: /)
  }
  assert.match((await coordinator.getTask('t12')).error, /"there" is NaN/)
  assert.equal((await outcome(coordinator, 'after', { input: 99 })).state, 'completed')
})

test('whatever is thrown, or rejected with, fails the task with its text', async t => {
  const thrown = [new Error('why'), new TypeError(''), undefined, null, 0, 'text', Symbol('s'), 1n, {}, Object.create(null), new Proxy({}, { get() { throw new Error('trap') } }), { toString() { throw new Error('no text') } }, new Error('half \ud800'), { code: '\ud800', message: {} }]
  const thenables = [{ get then() { throw new Error('no then') } }, { then() { throw new Error('then threw') } }, { then(_done, fail) { fail(new Error('then failed')) } }]
  const how = [...thrown.flatMap(each => [() => { throw each }, async () => { throw each }]), ...thenables.map(each => () => each)]
  const coordinator = await started(t, ({ input }) => how[input]())
  for (const index of how.keys()) {
    const done = await outcome(coordinator, `t${index}`, { input: index })
    assert.deepEqual([done.state, typeof done.error, done.error.length > 0], ['failed', 'string', true], String(index))
  }
  assert.equal((await coordinator.getTask('t0')).error, 'why')
  assert.equal((await coordinator.getTask('t1')).error, 'why')
  assert.equal((await coordinator.getTask(`t${how.length - 1}`)).error, 'then failed')
})

test('a task that failed is tried again as often as it may', async t => {
  const attempts = []
  const coordinator = await started(t, (_task, { attempt }) => {
    attempts.push(attempt)
    if (attempt < 3) throw new Error('not yet')
    return attempt
  })
  assert.equal((await outcome(coordinator, 't', { retries: 5 })).result, 3)
  assert.deepEqual(attempts, [1, 2, 3])
})

test('a function that never settles is ended by the timeout of its task; what it answers later is ignored', async t => {
  const late = signal()
  const aborted = signal()
  const coordinator = await started(t, ({ input }, { signal: told }) => {
    if (input !== 'never') return 'next'
    told.addEventListener('abort', () => aborted.resolve(told.reason))
    return late.promise
  })
  const done = await outcome(coordinator, 't', { input: 'never', timeoutMs: 20 })
  assert.deepEqual([done.state, done.error], ['failed', 'ran longer than its timeout, 20ms'])
  const reason = await aborted.promise
  assert.ok(reason instanceof meshwork.MeshworkError)
  assert.equal(reason.code, 'TimedOut')
  late.resolve('too late')
  assert.equal((await outcome(coordinator, 'u')).result, 'next')
  assert.equal('result' in await coordinator.getTask('t'), false)
})

test('a function that never settles is ended by a cancel, and by a terminate; its slot is free at once', async t => {
  const begun = collector(2)
  const aborted = collector(2)
  const coordinator = await started(t, ({ id, input }, context) => {
    if (input !== 'never') return id
    context.signal.addEventListener('abort', () => aborted.take(context.signal.reason.code))
    begun.take(id)
    return new Promise(() => {})
  }, { maxConcurrentTasksPerPeer: 1, swarmId: 's' })
  await coordinator.submitTask(task('a', { input: 'never' }))
  await coordinator.submitTask(task('b'))
  await until(() => begun.all.length === 1)
  await coordinator.cancelTask('a')
  assert.equal((await coordinator.awaitTask('a')).state, 'failed')
  assert.equal((await coordinator.awaitTask('b')).result, 'b')
  await coordinator.spawnAgent({ id: 'z', capabilities: [], agent: ({ id }) => `z ${id}` })
  await coordinator.submitTask(task('c', { input: 'never', assignedPeer: 's-peer-1' }))
  await begun.done
  await coordinator.terminateAgent('s-peer-1')
  assert.equal((await coordinator.awaitTask('c')).result, 'z c')
  assert.deepEqual(await aborted.done, ['AttemptOver', 'AttemptOver'])
})

test('cleanup ends what runs at once, from within a function too', async t => {
  const aborted = signal()
  const coordinator = await started(t, ({ input }, context) => {
    if (input === 'ends') return coordinator.cleanup().then(() => 'ended')
    context.signal.addEventListener('abort', aborted.resolve)
    return new Promise(() => {})
  }, { maxConcurrentTasksPerPeer: 5 })
  await coordinator.submitTask(task('never'))
  await coordinator.submitTask(task('t', { input: 'ends' }))
  await assert.rejects(coordinator.awaitTask('never'), failsWith('Closing'))
  await aborted.promise
  await coordinator.cleanup()
  assert.equal(coordinator.isReady(), false)
})

test('a function may use its coordinator: hand in, look, pause itself, cancel itself, terminate itself, spawn', async t => {
  const coordinator = await started(t, async ({ id, input }, { peerId }) => {
    switch (input) {
      case 'assign': {
        await coordinator.assignTaskToPeer(task(`${id}-next`))
        return (await coordinator.awaitTask(`${id}-next`)).result
      }
      case 'look': return [coordinator.getPeer(peerId).load, coordinator.getActivePeers().length, coordinator.getMeshMetrics().runningTasks]
      case 'pause': return coordinator.pauseAgent(peerId, 'budget').then(() => coordinator.getAgentState(peerId))
      case 'cancel': return coordinator.cancelTask(id).then(() => 'cancelled')
      case 'terminate': return coordinator.terminateAgent(peerId).then(() => 'left')
      case 'spawn': return coordinator.spawnAgent({ id: 'new', capabilities: ['new'], agent: () => 'new' })
      case 'initialize': return coordinator.initialize()
      default: return 'plain'
    }
  }, { maxConcurrentTasksPerPeer: 3, swarmId: 's' })
  const own = input => outcome(coordinator, input, { input, assignedPeer: 's-peer-1' })
  const result = async input => (await own(input)).result
  assert.equal(await result('assign'), 'plain')
  assert.deepEqual(await result('look'), [1, 1, 1])
  assert.equal(await result('spawn'), 'new')
  assert.equal((await own('initialize')).error, 'the coordinator is initialized already; nothing changed')
  assert.equal((await own('cancel')).state, 'failed')
  assert.equal(await result('pause'), 'paused')
  await coordinator.resumeAgent('s-peer-1')
  assert.equal(await result('terminate'), 'new', 'another takes over what it ran')
})

test('children are handed in and waited for, and their parent is complete after them', async t => {
  const progress = signal()
  const coordinator = await started(t, async ({ id, input }, { submit, wait, progress: tell, artifacts }) => {
    if (input === 'bad') throw new Error('no luck')
    if (input !== 'parent') return `did ${id}`
    await tell('two more')
    progress.resolve()
    assert.deepEqual(await submit([{ id: 'c1' }, task('c2', { dependencies: ['c1'] }), { id: 'c3', input: 'bad' }]), ['c1', 'c2', 'c3'])
    await artifacts.store('kept', Buffer.from(id))
    await assert.rejects(submit({ id: 'c1', description: 'other' }), failsWith('Refused'))
    await assert.rejects(submit([{ id: 5 }]), failsWith('InvalidTask', 'task.id'))
    await assert.rejects(submit([{ id: 'p', priority: 99 }]), failsWith('InvalidTask', 'priority'))
    await assert.rejects(wait(['other']), failsWith('NotAChild', 'other'))
    await assert.rejects(wait('c1'), failsWith('InvalidArgument', 'ids'))
    await assert.rejects(tell(5), failsWith('InvalidArgument', 'text'))
    assert.deepEqual(await wait(['c1']), [{ id: 'c1', state: 'completed', result: 'did c1' }])
    return wait()
  }, { maxConcurrentTasksPerPeer: 1 })
  const done = await outcome(coordinator, 'parent', { input: 'parent' })
  assert.equal(done.state, 'completed', done.error)
  await progress.promise
  const parts = done.result
  assert.deepEqual(parts.slice(0, 2), [{ id: 'c1', state: 'completed', result: 'did c1' }, { id: 'c2', state: 'completed', result: 'did c2' }])
  assert.deepEqual([parts[2].id, parts[2].state, parts[2].error], ['c3', 'failed', 'no luck'])
  assert.equal((await coordinator.deps.artifactStorage.retrieve('kept')).toString(), 'parent')
})

test('messages go over the bus of the coordinator, as the peer', async t => {
  const coordinator = await started(t, async (_task, { send, peerId }) => {
    await send('reviewer', { type: 'note', payload: { from: peerId } })
    await assert.rejects(send('nobody', { type: 'note', payload: 1 }), failsWith('UnknownPeer'))
    await assert.rejects(send('reviewer', 'text'), failsWith('InvalidMessage'))
  }, { swarmId: 's' })
  const got = signal()
  coordinator.deps.messageBus.onPeerMessage('reviewer', got.resolve)
  assert.equal((await outcome(coordinator, 't')).state, 'completed')
  const { type, payload, senderId, recipientId, timestamp } = await got.promise
  assert.deepEqual({ type, payload, senderId, recipientId }, { type: 'note', payload: { from: 's-peer-1' }, senderId: 's-peer-1', recipientId: 'reviewer' })
  assert.ok(timestamp > 1e12)
  assert.equal(await coordinator.waitForMeshCompletion(), true)
})

test('after its end an attempt can do nothing, and promises that nobody waits for end no process', async () => {
  const { code, out, err } = await run(`
    const { createMeshCoordinator, createMessageBroker, createQueryController, createArtifactStorage, createSwarmMemory, createLogger } = require('meshwork')
    let kept
    const agent = async (task, context) => {
      kept = context
      // Nobody waits for these, and each is refused.
      context.progress(5)
      context.usage({ inputTokens: -1 })
      context.submit({ id: '-' })
      context.wait(['x'])
      context.send('nobody', { type: 't', payload: 1 })
      return 'x'
    }
    const c = createMeshCoordinator({ peerCount: 1, agents: [{ capabilities: [], agent }] }, { messageBus: createMessageBroker(), queryController: createQueryController(), artifactStorage: createArtifactStorage(), swarmMemory: createSwarmMemory(), logger: createLogger({ level: 'warn' }) })
    const main = async () => {
      await c.initialize()
      await c.submitTask({ id: 't' })
      console.log((await c.awaitTask('t')).result)
      for (const [name, given] of [['progress', 'x'], ['usage', {}], ['submit', []], ['wait', []], ['send', 'a']]) {
        await kept[name](given, { type: 't', payload: 1 }).catch(error => console.log(name, error.code))
      }
      console.log(kept.signal.aborted)
      await c.cleanup()
    }
    main()
  `)
  assert.deepEqual([code, out, err], [0, 'x\nprogress AttemptOver\nusage AttemptOver\nsubmit AttemptOver\nwait AttemptOver\nsend AttemptOver\ntrue\n', ''])
})

test('a function that waits for its children when its attempt ends does not wait for ever', async t => {
  const waited = signal()
  const coordinator = await started(t, ({ input }, { submit, wait }) => {
    if (input !== 'parent') return new Promise(() => {})
    return submit({ id: 'child' }).then(() => wait()).catch(error => { waited.resolve(error.code); throw error })
  }, { maxConcurrentTasksPerPeer: 1 })
  await coordinator.submitTask(task('t', { input: 'parent' }))
  await until(async () => (await coordinator.getTask('child'))?.state === 'running')
  await coordinator.cancelTask('t')
  assert.equal(await waited.promise, 'AttemptOver')
  assert.equal((await coordinator.awaitTask('t')).state, 'failed')
})

test('a wake that throws, or never resolves, is told to the logger; its peer takes the next one, and work', async t => {
  const told = []
  const logger = { debug() {}, info() {}, error() {}, warn: (message, { agentId, error }) => { told.push([message, agentId, error]) } }
  const wakes = { all: 0, well: 0 }
  const agent = {
    run: () => 'up',
    wakeIntervalMs: 1,
    wakeTimeoutMs: 50,
    wake: () => {
      wakes.all += 1
      if (wakes.all === 1) return new Promise(() => {})
      if (wakes.all % 2 === 0) throw new Error('no key')
      wakes.well += 1
      return { inputTokens: 10 }
    },
  }
  const coordinator = await started(t, agent, { swarmId: 's', pauseIdleAfterMs: null }, { logger })
  const total = () => coordinator.deps.queryController.getTokenSavings('s-peer-1').total
  await until(() => told.some(([, , error]) => error === 'no key') && total() >= 10)
  assert.deepEqual(told[0], ['a wake failed', 's-peer-1', 'it took longer than 50ms and was ended'])
  assert.ok(total() % 10 === 0 && total() <= 10 * wakes.well, 'those of the wakes that ended well')
  assert.equal((await outcome(coordinator, 't')).result, 'up')
})

test('wakes that never resolve keep neither cleanup nor Node', async () => {
  const { code, out, err } = await run(`
    const m = require('meshwork')
    const agent = { run() {}, wakeIntervalMs: 1, wake: () => { woken(); return new Promise(() => {}) } }
    let woken
    const wakes = new Promise(done => { woken = done })
    const deps = { messageBus: m.createMessageBroker(), queryController: m.createQueryController(), artifactStorage: m.createArtifactStorage(), swarmMemory: m.createSwarmMemory(), logger: m.createLogger() }
    const c = m.createMeshCoordinator({ peerCount: 1, pauseIdleAfterMs: null, agents: [{ capabilities: [], agent }] }, { ...deps, logger: m.createLogger({ level: 'warn' }) })
    const main = async () => {
      const alive = setInterval(() => {}, 1_000)
      await c.initialize()
      await wakes
      await c.cleanup()
      clearInterval(alive)
      console.log('over', c.isReady())
    }
    main()
  `)
  assert.deepEqual([code, out, err], [0, 'over false\n', ''])
})

test('garbage is passed on by no getter: contexts are theirs alone, and tasks are copies', async t => {
  const coordinator = await started(t, (given, context) => {
    given.id = 'mine'
    given.requiredCapabilities.push('x')
    context.peerId = 'me'
    delete context.send
    return 'x'
  }, { swarmId: 's' })
  const done = await outcome(coordinator, 't')
  assert.deepEqual([done.id, done.assignedPeer, done.requiredCapabilities], ['t', 's-peer-1', []])
})
