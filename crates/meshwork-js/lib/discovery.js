'use strict'
// The stand-alone peer discovery.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const { dependencies, messageBus, artifactStorage } = require('./dependencies.js')
const check = require('./check.js')

const CONFIG = {
  swarmId: 'string',
  discoveryIntervalMs: 'number',
  heartbeatIntervalMs: 'number',
  peerTimeoutMs: 'number',
  enableArtifactSharing: 'boolean',
}

/** Those that run: they go on until they are stopped, whoever holds them. */
const running = new Set()

/** Waits for an outcome. */
const done = async outcome => opened(typeof outcome === 'object' ? await outcome : outcome)

/** How many peers, or which. */
function awaited(peers) {
  if (typeof peers !== 'number') return check.texts(peers, 'peers')
  if (!Number.isSafeInteger(peers) || peers < 0 || peers > 0xffffffff) {
    throw check.wrong('peers', peers, 'a whole number of peers, or an array of ids')
  }
  return peers
}

const timeout = value => check.millis(check.number(value, 'timeoutMs'), 'timeoutMs')

class PeerDiscoverySystem {
  #native
  /** Held, because what is registered does not hold it. */
  #foreign

  constructor(config = {}, given) {
    const { messageBus: _bus, artifactStorage: _artifacts, ...settings } = check.object(config, 'config', 'InvalidConfig')
    check.fields(settings, 'config', CONFIG)
    const all = dependencies(given, config)
    const [bus, artifacts] = [messageBus(all), artifactStorage(all)]
    const made = native.Discovery.make(bus.any, artifacts.any, JSON.stringify(settings))
    if (typeof made === 'string') opened(made)
    this.#native = made
    this.#foreign = { bus: bus.foreign, artifacts: artifacts.foreign }
  }

  async startDiscovery(swarmId) {
    await done(this.#native.start(check.text(swarmId, 'swarmId'), this.#foreign.bus))
    running.add(this)
  }

  async stopDiscovery() {
    try {
      await done(this.#native.stop(this.#foreign.bus))
    } finally {
      running.delete(this)
    }
  }

  findPeersByCapability(capability) {
    return this.#native.find([check.text(capability, 'capability')])
  }

  findPeersByCapabilities(capabilities) {
    return this.#native.find(check.texts(capabilities, 'capabilities'))
  }

  getPeerInfo(peerId) {
    return opened(this.#native.peerInfo(check.text(peerId, 'peerId'))) ?? undefined
  }

  getAllPeers() {
    return new Map(opened(this.#native.allPeers()).map(peer => [peer.id, peer]))
  }

  async updatePeerCapabilities(peerId, capabilities) {
    check.text(peerId, 'peerId')
    await done(this.#native.updateCapabilities(peerId, check.texts(capabilities, 'capabilities')))
  }

  isPeerAlive(peerId, timeoutMs) {
    return this.#native.isPeerAlive(check.text(peerId, 'peerId'), timeout(timeoutMs))
  }

  getMetrics() {
    return opened(this.#native.metrics())
  }

  async awaitPeers(peers, timeoutMs = 5_000) {
    await done(this.#native.awaitPeers(awaited(peers), timeout(timeoutMs)))
  }

  async forgetLocalPeer(peerId) {
    await done(this.#native.forgetLocalPeer(check.text(peerId, 'peerId')))
  }

  getFaults() {
    return opened(this.#native.faults())
  }
}

/** @param {object} config @param {{ messageBus: object, artifactStorage: object }} given */
function createPeerDiscoverySystem(config, given) {
  return new PeerDiscoverySystem(config, given)
}

module.exports = { createPeerDiscoverySystem }
