'use strict'
// Agents: functions of JavaScript, objects that have one, or programs, as the compiled part takes them.

const { resolve } = require('node:path')
const { register } = require('./calls.js')
const { MeshworkError, opened } = require('./errors.js')
const check = require('./check.js')

/** What a query controller of ours makes peers from, as its user gave it. */
const agentsOf = new WeakMap()

/** Kinds of agents that are programs, as in a swarm file. */
const PROGRAMS = ['shell', 'command']

/** A program, judged. */
function program(agent, name, code) {
  check.fields(agent, name, { kind: PROGRAMS, command: 'strings', cwd: 'string', env: 'object' }, code)
  const { kind, command = [], cwd = process.cwd(), env = {} } = agent
  if ((kind === 'command') !== (command.length > 0)) {
    throw check.wrong(`${name}.command`, agent.command, kind === 'shell' ? 'nothing: a shell runs the task\'s line' : 'a program and its arguments', code)
  }
  for (const [variable, value] of Object.entries(env)) {
    if (typeof value !== 'string') throw check.wrong(`${name}.env.${variable}`, value, 'a string', code)
  }
  return { kind, program: { command, cwd: resolve(cwd), env } }
}

/** The functions of an agent, judged. */
function parts(agent, name, code) {
  if (typeof agent === 'function') return { run: agent }
  if (agent === null || typeof agent !== 'object' || Array.isArray(agent)) {
    throw check.wrong(name, agent, 'a function, an object with a function "run", or a program', code)
  }
  const { run, checkpoint, restore, wake, wakeIntervalMs, wakeTimeoutMs, kind } = agent
  if (run === undefined && kind !== undefined) return program(agent, name, code)
  const needed = { run }
  for (const [part, value] of Object.entries({ checkpoint, restore, wake })) if (value !== undefined) needed[part] = value
  for (const [part, value] of Object.entries(needed)) {
    if (typeof value !== 'function') throw check.wrong(`${name}.${part}`, value, 'a function', code)
  }
  if (kind !== undefined && (typeof kind !== 'string' || PROGRAMS.includes(kind))) {
    throw check.wrong(`${name}.kind`, kind, 'a word of your own beside "run"', code)
  }
  if ((wake === undefined) !== (wakeIntervalMs === undefined)) {
    throw check.wrong(`${name}.wakeIntervalMs`, wakeIntervalMs, wake === undefined ? 'a function "wake" beside it' : 'a whole number of milliseconds beside "wake"', code)
  }
  if (wakeIntervalMs !== undefined) whole(wakeIntervalMs, `${name}.wakeIntervalMs`, 1, code)
  if (wakeTimeoutMs !== undefined) {
    if (wake === undefined) throw check.wrong(`${name}.wakeTimeoutMs`, wakeTimeoutMs, 'a function "wake" beside it', code)
    whole(wakeTimeoutMs, `${name}.wakeTimeoutMs`, 1, code)
  }
  // The object stays `this` of its functions: it may be of a class.
  const bound = part => (agent[part] === undefined ? undefined : (...given) => agent[part](...given))
  return { run: bound('run'), checkpoint: bound('checkpoint'), restore: bound('restore'), wake: bound('wake'), wakeIntervalMs, wakeTimeoutMs, kind }
}

function whole(value, name, least, code) {
  if (!Number.isSafeInteger(value) || value < least || value > 0x7fffffff) {
    throw check.wrong(name, value, `a whole number from ${least} to ${0x7fffffff}`, code)
  }
  return value
}

/** A definition, judged and not registered yet. */
function definition(given, name, code) {
  check.object(given, name, code)
  const { capabilities, agent, maxConcurrentTasks } = given
  if (!Array.isArray(capabilities)) throw check.wrong(`${name}.capabilities`, capabilities, 'an array of strings', code)
  capabilities.forEach((one, index) => {
    if (typeof one !== 'string' || !one.isWellFormed()) throw check.wrong(`${name}.capabilities[${index}]`, one, 'a string', code)
  })
  if (maxConcurrentTasks !== undefined) whole(maxConcurrentTasks, `${name}.maxConcurrentTasks`, 1, code)
  return { capabilities: [...capabilities], maxConcurrentTasks, ...parts(agent, `${name}.agent`, code) }
}

function definitions(given, name, code = 'InvalidConfig') {
  if (!Array.isArray(given)) throw check.wrong(name, given, 'an array of agent definitions', code)
  return given.map((one, index) => definition(one, `${name}[${index}]`, code))
}

/** An error of something that is not waited for reaches nobody: it must not end the process. */
function unheard(promise) {
  promise.catch(() => {})
  return promise
}

/** How many tokens; `undefined` for nothing said. */
function usage(value, name) {
  const { inputTokens = 0, outputTokens = 0 } = check.object(value, name)
  for (const [part, count] of Object.entries({ inputTokens, outputTokens })) {
    if (!Number.isSafeInteger(count) || count < 0) throw check.wrong(`${name}.${part}`, count, 'a whole number of tokens')
  }
  return { inputTokens, outputTokens }
}

/** What an agent is handed beside its task. `services` belong to its coordinator. */
function contextOf(number, { task, peerId, attempt }, services, open) {
  const native = () => {
    const coordinator = services.native()
    if (coordinator === undefined || !open.has(number)) throw new MeshworkError('AttemptOver', 'the attempt is over; nothing changed')
    return coordinator
  }
  const asked = ask => unheard((async () => {
    const outcome = ask(native())
    return opened(typeof outcome === 'object' ? await outcome : outcome)
  })())
  return {
    task,
    peerId,
    attempt,
    /** Made when it is asked for: most never are. */
    get signal() {
      const known = open.get(number)
      const controller = known ?? new AbortController()
      if (known === undefined) {
        if (open.has(number)) open.set(number, controller)
        else controller.abort(new MeshworkError('AttemptOver', 'the attempt is over'))
      }
      return controller.signal
    },
    artifacts: services.artifactStorage,
    submit: tasks => asked(coordinator => {
      const all = Array.isArray(tasks) ? tasks : [tasks]
      return coordinator.attemptSubmit(number, `[${all.map(one => check.task(one)).join(',')}]`)
    }),
    wait: (ids = []) => asked(coordinator => coordinator.attemptWait(number, check.texts(ids, 'ids'))),
    progress: text => asked(coordinator => coordinator.attemptProgress(number, check.text(text, 'text'))),
    usage: tokens => asked(coordinator => coordinator.attemptUsage(number, JSON.stringify(usage(tokens, 'tokens')))),
    send: (to, message) => unheard((async () => {
      native()
      check.text(to, 'to')
      check.object(message, 'message', 'InvalidMessage')
      await services.messageBus.sendToPeer(peerId, to, { timestamp: Date.now(), ...message })
    })()),
  }
}

/** A judged definition with its functions registered, for the compiled part. */
function registered(judged, services) {
  const { capabilities, maxConcurrentTasks, run, checkpoint, restore, wake, wakeIntervalMs, wakeTimeoutMs, kind = 'function' } = judged
  if (judged.program !== undefined) return { capabilities, kind, maxConcurrentTasks, ...judged.program }
  /** Attempts that are worked on, by number, with what aborts them. */
  const open = new Map()
  const said = {
    capabilities,
    kind,
    maxConcurrentTasks,
    run: register(async ([number, given]) => {
      open.set(number, undefined)
      try {
        const result = await run(given.task, contextOf(number, given, services, open))
        return result === undefined ? undefined : check.json(result, 'the result', 'is no JSON')
      } finally {
        open.delete(number)
      }
    }),
    abort: register(([number, code, message]) => {
      const controller = open.get(number)
      open.delete(number)
      controller?.abort(new MeshworkError(code, message))
    }),
    wakeIntervalMs,
    wakeTimeoutMs,
  }
  if (checkpoint !== undefined) said.checkpoint = register(async ([peerId]) => (await checkpoint(peerId)) ?? null)
  if (restore !== undefined) said.restore = register(async ([peerId, state]) => { await restore(state, peerId) })
  if (wake !== undefined) {
    said.wake = register(async ([peerId]) => {
      const cost = await wake(peerId)
      return usage(cost === undefined ? {} : cost, 'what wake answered')
    })
  }
  return said
}

module.exports = { agentsOf, definition, definitions, registered, usage }
