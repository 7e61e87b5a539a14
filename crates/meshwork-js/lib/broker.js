'use strict'
// The message broker. Its rules are in the compiled part; here are arguments, and functions by their identity.

const { native } = require('./native.js')
const { calls, register } = require('./calls.js')
const alive = require('./alive.js')
const { MeshworkError, opened } = require('./errors.js')
const check = require('./check.js')

/** For each broker of ours: what gives its compiled object, or throws when it is closed. */
const natives = new WeakMap()

class MessageBroker {
  #native
  /** Handlers by function: the same function is the same handler, as long as it is subscribed somewhere. */
  #handlers = new Map()

  constructor(config) {
    const made = native.Broker.make(calls, check.config(config))
    if (typeof made === 'string') opened(made)
    this.#native = made
    natives.set(this, () => this.#open)
  }

  get #open() {
    if (this.#native === undefined) throw new MeshworkError('Closed', 'the broker is closed; nothing changed')
    return this.#native
  }

  /** The same, for a message. */
  get #sending() {
    const native = this.#open
    alive.sends(native)
    return native
  }

  async publish(topic, message) {
    const outcome = this.#sending.publish(check.text(topic, 'topic'), check.message(message))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  subscribe(topic, handler) {
    check.text(topic, 'topic')
    check.callback(handler, 'handler')
    const known = this.#handlers.get(handler) ?? { native: handlerOf(handler), topics: new Map() }
    opened(this.#open.subscribe(topic, known.native))
    known.topics.set(topic, (known.topics.get(topic) ?? 0) + 1)
    this.#handlers.set(handler, known)
  }

  unsubscribe(topic, handler) {
    check.text(topic, 'topic')
    check.callback(handler, 'handler')
    const known = this.#handlers.get(handler)
    const count = known?.topics.get(topic)
    if (count === undefined || this.#native === undefined) return
    this.#native.unsubscribe(topic, known.native)
    if (count > 1) known.topics.set(topic, count - 1)
    else known.topics.delete(topic)
    if (known.topics.size === 0) this.#handlers.delete(handler)
  }

  async sendToPeer(senderId, recipientId, message) {
    const sender = check.text(senderId, 'senderId')
    const outcome = this.#sending.sendToPeer(sender, check.text(recipientId, 'recipientId'), check.message(message))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  async broadcastToMesh(senderId, neighbors, message) {
    const sender = check.text(senderId, 'senderId')
    const outcome = this.#sending.broadcastToMesh(sender, check.texts(neighbors, 'neighbors'), check.message(message))
    opened(typeof outcome === 'object' ? await outcome : outcome)
  }

  onPeerMessage(peerId, handler) {
    check.text(peerId, 'peerId')
    check.callback(handler, 'handler')
    opened(this.#open.onPeerMessage(peerId, handlerOf(handler)))
  }

  onPublish(peerId, handler) {
    check.text(peerId, 'peerId')
    check.callback(handler, 'handler')
    this.#open.onPublish(peerId, register(() => handler()))
  }

  onAcknowledge(peerId, handler) {
    check.text(peerId, 'peerId')
    check.callback(handler, 'handler')
    this.#open.onAcknowledge(peerId, register(() => handler()))
  }

  getMetrics() {
    const { queued, ...counted } = opened(this.#open.metrics())
    return { ...counted, queued: new Map(queued) }
  }

  getDeadLetters() {
    return opened(this.#open.deadLetters())
  }

  async close() {
    const closing = this.#native
    if (closing === undefined) return
    this.#native = undefined
    this.#handlers.clear()
    closing.close()
    alive.ends(closing)
  }
}

/** A function as the compiled part has it. What it answers is nobody's business: only that it has finished. */
function handlerOf(handler) {
  const called = ([message]) => {
    const value = handler(message)
    if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined
    return typeof value.then === 'function' ? Promise.resolve(value).then(() => undefined) : undefined
  }
  return new native.Handler(calls, register(called))
}

/** @param {object} [config] */
function createMessageBroker(config) {
  return new MessageBroker(config)
}

/** The compiled object behind a broker of ours; nothing for others. */
const nativeBroker = broker => natives.get(broker)?.()

module.exports = { createMessageBroker, nativeBroker }
