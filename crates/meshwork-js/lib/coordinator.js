'use strict'
// The coordinator of a mesh. Its rules are in the compiled part.

const { native } = require('./native.js')
const { calls, register } = require('./calls.js')
const { MeshworkError, opened } = require('./errors.js')
const { agentsOf, definition, definitions, registered, usage } = require('./agent.js')
const { dependencies, messageBus, artifactStorage, swarmMemory, queryController, logger } = require('./dependencies.js')
const check = require('./check.js')

const BUS = { maxQueueSize: 'number', maxMessageSize: 'number', ackTimeoutMs: 'number', maxRedeliveries: 'number', durable: 'boolean', sendTimeoutMs: 'number' }
const QUEEN = { minWorkers: 'whole', maxWorkers: 'whole', branching: 'whole', autoScale: 'boolean', scalingThreshold: 'number' }
const CONSENSUS = { protocol: ['quorum', 'leader'], quorumSize: 'whole', threshold: 'number', timeoutMs: 'whole', maxRetries: 'whole' }
const CONFIG = {
  swarmId: 'string',
  peerCount: 'number',
  maxConcurrentTasksPerPeer: 'number',
  enablePeerDiscovery: 'boolean',
  enableLoadBalancing: 'boolean',
  discoveryIntervalMs: 'number',
  completionTimeoutMs: 'number',
  artifactStoragePath: 'string',
  messageBusConfig: BUS,
  enableAutoRebalance: 'boolean',
  rebalanceIntervalMs: 'number',
  loadImbalanceThreshold: 'number',
  pauseIdleAfterMs: 'number or null',
  topology: ['mesh', 'hierarchical', 'hybrid', 'auto'],
  strategy: ['balanced', 'adaptive', 'performance'],
  branching: 'number',
  hierarchicalConfig: QUEEN,
  consensusConfig: CONSENSUS,
}

/** How long until it is looked again whether there is work, in ms. */
const LOOK = 10

/** Coordinators, by their compiled objects, that were given something since it was last found that they rest. */
const busy = new Map()
let timer

/** Node stays as long as a coordinator has work that runs, or can. */
function look() {
  for (const native of busy.keys()) if (native.isAtRest()) busy.delete(native)
  if (busy.size > 0) return
  clearInterval(timer)
  timer = undefined
}

/** It is held with what it holds: adapters of foreign objects. */
function works(native, coordinator) {
  busy.set(native, coordinator)
  timer ??= setInterval(look, LOOK)
}

/** A stay of an agent: what is known of it, and what it can be told. */
class AgentSession {
  #coordinator

  constructor(known, coordinator) {
    Object.assign(this, known)
    this.#coordinator = coordinator
  }

  /** The coordinator, as long as this stay is the agent's. */
  get #its() {
    const now = this.#coordinator.getAgentSession(this.agentId)
    if (now?.id !== this.id) throw new MeshworkError('SessionOver', `session ${this.id} of agent "${this.agentId}" is over; nothing changed`)
    return this.#coordinator
  }

  async pause(reason) {
    await this.#its.pauseAgent(this.agentId, reason)
  }

  async resume(checkpointId) {
    await this.#its.resumeAgent(this.agentId, checkpointId)
  }

  async cancel(reason) {
    await this.#its.cancelAgent(this.agentId, reason)
  }

  async checkpoint() {
    return this.#its.createCheckpoint(this.agentId)
  }

  async terminate() {
    await this.#its.terminateAgent(this.agentId)
  }
}

const COUNTS = ['totalAgents', 'activeAgents', 'pausedAgents', 'totalTasks', 'pendingTasks', 'runningTasks', 'completedTasks', 'failedTasks', 'totalTokensUsed', 'uptimeMs']

const id = value => check.text(value, 'id')
const maybe = (value, name) => (value === undefined ? undefined : check.text(value, name))

class MeshCoordinator {
  #native
  /** What agents have of their coordinator. */
  #services
  /** Held, because what is registered does not hold it. */
  #foreign
  /** What `cleanup` promised: it ends once. */
  #ending

  /** `name` is what the configuration is called; `make` takes settings, agents and dependencies. */
  constructor(config = {}, given, { name = 'config', make = (...parts) => native.Coordinator.make(calls, ...parts) } = {}) {
    const { agents, messageBus: _bus, artifactStorage: _artifacts, ...settings } = check.object(config, name, 'InvalidConfig')
    check.fields(settings, name, CONFIG)
    const all = dependencies(given, config)
    const [bus, artifacts, memory, controller] = [messageBus, artifactStorage, swarmMemory, queryController].map(taken => taken(all))
    this.#foreign = { bus: bus.foreign, others: [artifacts.foreign, memory.foreign, controller.foreign] }
    // Agents of a controller of ours are made anew for each coordinator: they send over its message bus.
    const judged = agents === undefined ? (agentsOf.get(all.queryController) ?? []) : definitions(agents, `${name}.agents`)
    let over = false
    const told = logger(all)
    const log = register(([level, message, context]) => (over ? undefined : told[level](message, context)))
    const parts = new native.CoordinatorDependencies(calls, bus.any, controller.any, artifacts.any, memory.any, log)
    let made
    this.#services = {
      native: () => made?.deref(),
      messageBus: all.messageBus,
      artifactStorage: all.artifactStorage,
      end: () => { over = true },
    }
    const coordinator = make(JSON.stringify(settings), JSON.stringify(judged.map(one => registered(one, this.#services))), parts)
    if (typeof coordinator === 'string') opened(coordinator)
    made = new WeakRef(coordinator)
    this.#native = coordinator
  }

  /** Waits for an outcome; there may be work then. */
  async #done(outcome) {
    const value = opened(typeof outcome === 'object' ? await outcome : outcome)
    if (!this.#native.isAtRest()) works(this.#native, this)
    return value
  }

  async initialize() {
    await this.#done(this.#native.initialize(this.#foreign.bus))
  }

  cleanup() {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end() {
    const outcome = this.#native.cleanup(register(() => this.#services.end()))
    try {
      opened(typeof outcome === 'object' ? await outcome : outcome)
    } finally {
      busy.delete(this.#native)
      if (timer !== undefined) look()
    }
  }

  async assignTaskToPeer(task) {
    return this.#done(this.#native.assignTaskToPeer(check.task(task)))
  }

  async submitTask(task) {
    await this.#done(this.#native.submitTask(check.task(task)))
  }

  async awaitTask(taskId) {
    return this.#done(this.#native.awaitTask(check.text(taskId, 'taskId')))
  }

  async getTask(taskId) {
    return (await this.#done(this.#native.task(check.text(taskId, 'taskId')))) ?? undefined
  }

  async cancelTask(taskId) {
    await this.#done(this.#native.cancelTask(check.text(taskId, 'taskId')))
  }

  async findPeersByCapabilities(capabilities) {
    return this.#done(this.#native.findPeersByCapabilities(check.texts(capabilities, 'capabilities')))
  }

  async waitForMeshCompletion() {
    return this.#done(this.#native.waitForMeshCompletion())
  }

  async rebalanceMesh() {
    await this.#done(this.#native.rebalanceMesh())
  }

  async spawnAgent(config) {
    const { id: wanted, ...given } = check.object(config, 'config')
    const judged = definition(given, 'config', 'InvalidArgument')
    const spawn = { id: maybe(wanted, 'config.id'), definition: registered(judged, this.#services) }
    return this.#done(this.#native.spawnAgent(JSON.stringify(spawn)))
  }

  async pauseAgent(agentId, reason) {
    await this.#done(this.#native.pauseAgent(id(agentId), maybe(reason, 'reason')))
  }

  async resumeAgent(agentId, checkpointId) {
    await this.#done(this.#native.resumeAgent(id(agentId), maybe(checkpointId, 'checkpointId')))
  }

  async cancelAgent(agentId, reason) {
    await this.#done(this.#native.cancelAgent(id(agentId), maybe(reason, 'reason')))
  }

  async terminateAgent(agentId, reason) {
    await this.#done(this.#native.terminateAgent(id(agentId), maybe(reason, 'reason')))
  }

  async createCheckpoint(agentId) {
    return this.#done(this.#native.createCheckpoint(id(agentId)))
  }

  async restoreCheckpoint(agentId, checkpointId) {
    await this.#done(this.#native.restoreCheckpoint(id(agentId), check.text(checkpointId, 'checkpointId')))
  }

  async listCheckpoints(agentId) {
    return this.#done(this.#native.listCheckpoints(id(agentId)))
  }

  async propose(proposal) {
    return this.#done(this.#native.propose(check.json(proposal ?? null, 'proposal')))
  }

  registerVoter(peerId, voter) {
    check.text(peerId, 'peerId')
    check.callback(voter, 'voter')
    opened(this.#native.registerVoter(peerId, register(([proposal]) => voter(proposal))))
  }

  isReady() {
    return this.#native.isReady()
  }

  getActivePeers() {
    return opened(this.#native.activePeers()).map(peer => this.#peer(peer))
  }

  getPeer(peerId) {
    const peer = opened(this.#native.peer(check.text(peerId, 'peerId')))
    return peer === null ? undefined : this.#peer(peer)
  }

  #peer({ session, neighbors, ...peer }) {
    return { ...peer, session: new AgentSession(session, this), neighbors: new Set(neighbors) }
  }

  getAgentState(agentId) {
    return this.getAgentSession(agentId)?.state
  }

  getAgentSession(agentId) {
    const session = opened(this.#native.agentSession(id(agentId)))
    return session === null ? undefined : new AgentSession(session, this)
  }

  getActiveAgents() {
    return opened(this.#native.activeAgents())
  }

  getPausedAgents() {
    return opened(this.#native.pausedAgents())
  }

  queen() {
    return opened(this.#native.queen()) ?? undefined
  }

  getMeshMetrics() {
    return opened(this.#native.metrics())
  }

  getMetrics() {
    const metrics = this.getMeshMetrics()
    return Object.fromEntries(COUNTS.map(name => [name, metrics[name]]))
  }

  updateTokenUsage(agentId, tokens) {
    opened(this.#native.updateTokenUsage(id(agentId), JSON.stringify(usage(tokens, 'usage'))))
  }
}

/** @param {object} config @param {object} given */
function createMeshCoordinator(config, given) {
  return new MeshCoordinator(config, given)
}

module.exports = { createMeshCoordinator, MeshCoordinator, QUEEN, CONSENSUS }
