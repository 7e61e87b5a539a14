'use strict'
// The stand-alone load balancer.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const { dependencies, artifactStorage } = require('./dependencies.js')
const check = require('./check.js')

const CONFIG = {
  imbalanceThreshold: 'number',
  rebalanceIntervalMs: 'number',
  enableAutoRebalance: 'boolean',
  aggressiveRebalancing: 'boolean',
  minTasksForRebalance: 'number',
}

/** Those that act by themselves: they go on until they are closed, whoever holds them. */
const acting = new Set()

class MeshLoadBalancer {
  #native
  /** Held, because what is registered does not hold it. */
  #foreign

  constructor(config = {}, given) {
    const { artifactStorage: _artifacts, ...settings } = check.object(config, 'config', 'InvalidConfig')
    check.fields(settings, 'config', CONFIG)
    const artifacts = artifactStorage(dependencies(given, config))
    const made = native.Balancer.make(artifacts.any, JSON.stringify(settings))
    if (typeof made === 'string') opened(made)
    this.#native = made
    this.#foreign = artifacts.foreign
    if (settings.enableAutoRebalance ?? true) acting.add(this)
  }

  selectLeastLoadedPeer(peerIds) {
    return opened(this.#native.selectLeastLoadedPeer(check.texts(peerIds, 'peerIds')))
  }

  async updatePeerLoad(peerId, load) {
    opened(this.#native.updatePeerLoad(check.text(peerId, 'peerId'), check.number(load, 'load')))
  }

  getPeerLoad(peerId) {
    return opened(this.#native.peerLoad(check.text(peerId, 'peerId')))
  }

  async rebalance(swarmId) {
    const outcome = this.#native.rebalance(check.text(swarmId, 'swarmId'))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  isBalanced(threshold) {
    return opened(this.#native.isBalanced(check.number(threshold, 'threshold')))
  }

  getLoadDistribution() {
    const { loadByPeer, ...spread } = opened(this.#native.loadDistribution())
    return { ...spread, loadByPeer: new Map(Object.entries(loadByPeer)) }
  }

  getMetrics() {
    return opened(this.#native.metrics())
  }

  forgetPeer(peerId) {
    return opened(this.#native.forgetPeer(check.text(peerId, 'peerId')))
  }

  async close() {
    this.#native.close()
    this.#foreign = undefined
    acting.delete(this)
  }
}

/** @param {object} config @param {{ artifactStorage: object }} given */
function createMeshLoadBalancer(config, given) {
  return new MeshLoadBalancer(config, given)
}

module.exports = { createMeshLoadBalancer }
