'use strict'
// The stand-alone completion detector.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const { dependencies, messageBus } = require('./dependencies.js')
const check = require('./check.js')

class DistributedCompletionDetector {
  #native
  /** Held, because what is registered does not hold it. */
  #foreign

  constructor(config, given) {
    const text = check.config(config, ['messageBus'])
    const bus = messageBus(dependencies(given, config))
    const made = native.Detector.make(bus.any, text)
    if (typeof made === 'string') opened(made)
    this.#native = made
    this.#foreign = bus.foreign
  }

  async initialize(peerIds) {
    const outcome = this.#native.initialize(check.texts(peerIds, 'peerIds'), this.#foreign)
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  async detectCompletion(swarmId, timeoutMs) {
    const timeout = check.millis(timeoutMs, 'timeoutMs')
    const outcome = this.#native.detectCompletion(check.text(swarmId, 'swarmId'), timeout, this.#foreign)
    return opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  isPeerCompleted(peerId) {
    return this.#native.isPeerCompleted(check.text(peerId, 'peerId'))
  }

  getDeficitCounter(peerId) {
    return this.#native.deficitCounter(check.text(peerId, 'peerId'))
  }

  getCompletionProbes(peerId) {
    return new Set(this.#native.completionProbes(check.text(peerId, 'peerId')))
  }

  async reset() {
    const outcome = this.#native.reset()
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  getMetrics() {
    return opened(this.#native.metrics())
  }

  explain() {
    return this.#native.holders()
  }

  getCheckpoints() {
    return opened(this.#native.checkpoints())
  }
}

/** @param {object} config @param {{ messageBus: object }} given */
function createDistributedCompletionDetector(config, given) {
  return new DistributedCompletionDetector(config, given)
}

module.exports = { createDistributedCompletionDetector }
