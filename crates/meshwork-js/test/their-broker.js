'use strict'
// A broker as somebody else would write it, with the seed's members and nothing else.

class TheirBroker {
  topics = new Map()
  peers = new Map()
  hooks = { publish: new Map(), acknowledge: new Map() }
  /** What was called, in order: names of methods. */
  called = []
  /** Topics whose messages are lost. */
  loses = () => false
  running = 0

  #list(map, key) {
    if (!map.has(key)) map.set(key, [])
    return map.get(key)
  }

  #tell(kind, peer) {
    for (const hook of this.hooks[kind].get(peer) ?? []) hook()
  }

  async #deliver(handlers, message, sender) {
    this.running += 1
    try {
      await Promise.all(handlers.map(handler => handler(message)))
    } finally {
      this.running -= 1
    }
    if (sender !== undefined) this.#tell('acknowledge', sender)
  }

  async publish(topic, message) {
    this.called.push('publish')
    if (message.senderId !== undefined) this.#tell('publish', message.senderId)
    if (this.loses(topic, message)) return
    this.#deliver([...(this.topics.get(topic) ?? [])], message, message.senderId).catch(error => this.failed?.(error))
  }

  subscribe(topic, handler) {
    this.called.push('subscribe')
    this.#list(this.topics, topic).push(handler)
  }

  unsubscribe(topic, handler) {
    this.called.push('unsubscribe')
    const handlers = this.#list(this.topics, topic)
    const at = handlers.indexOf(handler)
    if (at >= 0) handlers.splice(at, 1)
  }

  async sendToPeer(senderId, recipientId, message) {
    this.called.push('sendToPeer')
    const handlers = this.peers.get(recipientId)
    if (handlers === undefined) throw Object.assign(new Error(`who is ${recipientId}?`), { code: 'UnknownPeer' })
    this.#tell('publish', senderId)
    this.#deliver([...handlers], { ...message, senderId, recipientId }, senderId).catch(error => this.failed?.(error))
  }

  async broadcastToMesh(senderId, neighbors, message) {
    for (const neighbor of neighbors) await this.sendToPeer(senderId, neighbor, message)
  }

  onPeerMessage(peerId, handler) {
    this.called.push('onPeerMessage')
    this.#list(this.peers, peerId).push(handler)
  }

  onPublish(peerId, handler) {
    this.called.push('onPublish')
    this.#list(this.hooks.publish, peerId).push(handler)
  }

  onAcknowledge(peerId, handler) {
    this.called.push('onAcknowledge')
    this.#list(this.hooks.acknowledge, peerId).push(handler)
  }
}

module.exports = { TheirBroker }
