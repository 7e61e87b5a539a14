'use strict'
// Memory that agents share.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const check = require('./check.js')

/** For each memory of ours: what gives its compiled object. */
const natives = new WeakMap()

class SwarmMemory {
  #native

  constructor(config) {
    const made = native.Memory.make(check.config(config))
    if (typeof made === 'string') opened(made)
    this.#native = made
    natives.set(this, made)
  }

  async remember(agentId, type, content, metadata) {
    check.text(agentId, 'agentId')
    check.text(type, 'type')
    const about = metadata === undefined ? undefined : check.json(metadata, 'metadata')
    return opened(await this.#native.remember(agentId, type, check.json(content ?? null, 'content'), about))
  }

  async recall(query) {
    return opened(await this.#native.recall(check.json(check.object(query, 'query'), 'query')))
  }

  async shareMemory(entryId, targetAgentId) {
    opened(await this.#native.shareMemory(check.text(entryId, 'entryId'), check.text(targetAgentId, 'targetAgentId')))
  }

  async sharePeerState(peerId, state) {
    check.text(peerId, 'peerId')
    opened(await this.#native.sharePeerState(peerId, check.json(check.object(state, 'state'), 'state')))
  }

  async queryMeshPeers(swarmId) {
    return opened(await this.#native.meshPeers(check.text(swarmId, 'swarmId')))
  }

  async updatePeerLoad(peerId, load) {
    check.text(peerId, 'peerId')
    opened(await this.#native.updatePeerLoad(peerId, check.number(load, 'load')))
  }

  async getPeerLoad(peerId) {
    return opened(await this.#native.peerLoad(check.text(peerId, 'peerId'))) ?? undefined
  }

  async close() {
    opened(await this.#native.close())
  }
}

/** @param {{ path?: string, swarmId?: string }} [config] */
function createSwarmMemory(config) {
  return new SwarmMemory(config)
}

/** The compiled object behind a memory of ours; nothing for others. */
const nativeMemory = memory => natives.get(memory)

module.exports = { createSwarmMemory, nativeMemory }
