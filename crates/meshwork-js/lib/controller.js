'use strict'
// The query controller.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const { agentsOf, definitions } = require('./agent.js')
const check = require('./check.js')

/** For each controller of ours: its compiled object. */
const natives = new WeakMap()

class QueryController {
  #native

  constructor(config = {}) {
    const { agents = [], ...others } = check.object(config, 'config', 'InvalidConfig')
    check.known(others, 'config', ['agents'])
    agentsOf.set(this, definitions(agents, 'config.agents'))
    this.#native = native.Controller.make()
    natives.set(this, this.#native)
  }

  async pauseAgent(agentId) {
    const outcome = this.#native.pauseAgent(check.text(agentId, 'agentId'))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  async resumeAgent(agentId, checkpointId) {
    const checkpoint = checkpointId === undefined ? undefined : check.text(checkpointId, 'checkpointId')
    const outcome = this.#native.resumeAgent(check.text(agentId, 'agentId'), checkpoint)
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  async pausePeers(peerIds, reason) {
    const why = reason === undefined ? undefined : check.text(reason, 'reason')
    const outcome = this.#native.pausePeers(check.texts(peerIds, 'peerIds'), why)
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  async resumePeers(peerIds) {
    const outcome = this.#native.resumePeers(check.texts(peerIds, 'peerIds'))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  getTokenSavings(agentId) {
    return opened(this.#native.tokenSavings(check.text(agentId, 'agentId')))
  }

  getMeshTokenSavings(swarmId) {
    return opened(this.#native.meshTokenSavings(check.text(swarmId, 'swarmId')))
  }
}

/** @param {{ agents?: object[] }} [config] */
function createQueryController(config) {
  return new QueryController(config)
}

/** The compiled object behind a controller of ours; nothing for others. */
const nativeController = controller => natives.get(controller)

module.exports = { createQueryController, nativeController }
