'use strict'
// The topology router: chooses a topology, and makes its coordinator.

const { native } = require('./native.js')
const { calls } = require('./calls.js')
const { MeshworkError, opened } = require('./errors.js')
const { MeshCoordinator, QUEEN, CONSENSUS } = require('./coordinator.js')
const { dependencies, messageBus, artifactStorage, swarmMemory, queryController, logger } = require('./dependencies.js')
const check = require('./check.js')

const TOPOLOGIES = ['mesh', 'hierarchical', 'hybrid', 'auto']
const SWARM = {
  topology: TOPOLOGIES,
  maxAgents: 'whole',
  strategy: ['balanced', 'adaptive', 'performance'],
  hierarchicalConfig: QUEEN,
  enableConsensus: 'boolean',
  consensusConfig: CONSENSUS,
}
const NEEDED = { topology: `one of ${TOPOLOGIES.join(', ')}`, maxAgents: 'a whole number of agents' }

/** What a mesh has of its own where no router chooses it. */
const CHOSEN = ['topology', 'strategy', 'branching', 'hierarchicalConfig', 'consensusConfig']

function agents(value, least) {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw check.wrong('agentCount', value, Number.isFinite(least) ? `a whole number of at least ${least}` : 'a whole number')
}

/** The swarm's part of a configuration, and the mesh's; judged as far as one looks at types. */
function parts(config) {
  const { meshConfig = {}, ...swarm } = check.object(config, 'config', 'InvalidConfig')
  check.fields(swarm, 'config', SWARM)
  for (const [field, expected] of Object.entries(NEEDED)) {
    if (swarm[field] === undefined) throw Object.assign(check.wrong(`config.${field}`, undefined, expected, 'InvalidConfig'), { field })
  }
  check.object(meshConfig, 'config.meshConfig', 'InvalidConfig')
  const field = CHOSEN.find(name => meshConfig[name] !== undefined)
  if (field !== undefined) {
    const text = `config.meshConfig has ${field}, which follows from the swarm's own configuration: expected nothing; nothing changed`
    throw new MeshworkError('InvalidConfig', text, { field: `meshConfig.${field}` })
  }
  return { swarm, meshConfig }
}

class TopologyRouter {
  #native = new native.Router()
  #dependencies

  constructor(given) {
    const all = dependencies(given)
    // They are judged now, and taken when there is a coordinator.
    for (const taken of [messageBus, artifactStorage, swarmMemory, queryController, logger]) taken(all)
    this.#dependencies = { ...all }
  }

  selectCoordinator(config) {
    const { swarm, meshConfig } = parts(config)
    const make = (settings, agents, taken) => this.#native.select(calls, JSON.stringify(swarm), settings, agents, taken)
    return new MeshCoordinator(meshConfig, this.#dependencies, { name: 'config.meshConfig', make })
  }

  validateTopology(topology, agentCount) {
    if (!TOPOLOGIES.includes(topology)) throw check.wrong('topology', topology, `one of ${TOPOLOGIES.join(', ')}`)
    return opened(this.#native.validate(topology, agents(agentCount, -Infinity)))
  }

  getRecommendedTopology(agentCount) {
    return opened(this.#native.recommended(agents(agentCount, 1)))
  }

  getMetrics() {
    return opened(this.#native.metrics())
  }
}

/** @param {object} given */
function createTopologyRouter(given) {
  return new TopologyRouter(given)
}

module.exports = { createTopologyRouter }
