'use strict'
// Objects that somebody else wrote, as the compiled part takes them.
//
// What is registered holds the compiled object weakly: it is held by whoever uses it, and forgets its functions when
// nobody does any more.

const { native } = require('./native.js')
const { calls, register, complain } = require('./calls.js')
const { MeshworkTypeError, opened } = require('./errors.js')
const check = require('./check.js')

/** One compiled object for each foreign one. */
const adapted = new WeakMap()

/** Names every member of `names` that `object` has no function for. */
function judged(object, name, names) {
  check.object(object, `dependencies.${name}`, 'InvalidDependency')
  const missing = names.filter(member => typeof object[member] !== 'function')
  if (missing.length > 0) {
    const text = `dependencies.${name} has no ${missing.join(', ')}, expected functions; nothing was made`
    throw new MeshworkTypeError('InvalidDependency', text)
  }
}

function once(object, name, names, make) {
  judged(object, name, names)
  const known = adapted.get(object)?.deref()
  if (known !== undefined) return known
  const made = make()
  adapted.set(object, new WeakRef(made))
  return made
}

/** Each method of `methods`, registered. */
function registered(methods) {
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, register(method)]))
}

const BROKER = ['publish', 'subscribe', 'unsubscribe', 'sendToPeer', 'broadcastToMesh', 'onPeerMessage', 'onPublish', 'onAcknowledge']

/** What a promise came to matters, its value does not. */
const nothing = value => (value === undefined ? undefined : Promise.resolve(value).then(() => undefined))

function foreignBroker(broker) {
  return once(broker, 'messageBus', BROKER, () => {
    let made
    /** Functions of ours that the broker has, by number: the same number is the same function. */
    const given = new Map()
    const handlerOf = number => {
      let handler = given.get(number)
      if (handler === undefined) {
        handler = async message => {
          const outcome = made.deref()?.handle(number, check.message(message))
          opened(typeof outcome === 'object' ? await outcome : outcome)
        }
        given.set(number, handler)
      }
      return handler
    }
    const hookOf = number => () => made.deref()?.hook(number)
    const object = new native.ForeignBroker(calls, registered({
      publish: ([topic, message]) => nothing(broker.publish(topic, message)),
      subscribe: ([topic, number]) => nothing(broker.subscribe(topic, handlerOf(number))),
      unsubscribe: ([topic, number]) => {
        broker.unsubscribe(topic, handlerOf(number))
        // It may have others: the number stays its own until it has none.
        if (made.deref()?.forget(number, topic) ?? true) given.delete(number)
      },
      sendToPeer: ([sender, recipient, message]) => nothing(broker.sendToPeer(sender, recipient, message)),
      broadcastToMesh: ([sender, neighbors, message]) => nothing(broker.broadcastToMesh(sender, neighbors, message)),
      onPeerMessage: ([peer, number]) => nothing(broker.onPeerMessage(peer, handlerOf(number))),
      onPublish: ([peer, number]) => nothing(broker.onPublish(peer, hookOf(number))),
      onAcknowledge: ([peer, number]) => nothing(broker.onAcknowledge(peer, hookOf(number))),
    }))
    made = new WeakRef(object)
    return object
  })
}

const ARTIFACTS = ['store', 'retrieve', 'delete', 'list', 'stat']

function foreignArtifacts(storage) {
  return once(storage, 'artifactStorage', ARTIFACTS, () => new native.ForeignArtifacts(calls, registered({
    store: ([key], bytes) => storage.store(key, bytes),
    retrieve: ([key]) => storage.retrieve(key),
    delete: ([key]) => storage.delete(key),
    list: ([prefix]) => storage.list(prefix),
    stat: ([key]) => storage.stat(key),
  })))
}

const MEMORY = ['remember', 'recall', 'shareMemory', 'sharePeerState', 'queryMeshPeers', 'updatePeerLoad', 'getPeerLoad']

function foreignMemory(memory) {
  return once(memory, 'swarmMemory', MEMORY, () => new native.ForeignMemory(calls, registered({
    remember: ([agent, type, content, metadata]) => memory.remember(agent, type, content, metadata ?? undefined),
    recall: ([query]) => memory.recall(query),
    shareMemory: ([entry, target]) => nothing(memory.shareMemory(entry, target)),
    sharePeerState: ([peer, state]) => nothing(memory.sharePeerState(peer, state)),
    queryMeshPeers: ([swarm]) => memory.queryMeshPeers(swarm),
    updatePeerLoad: ([peer, load]) => nothing(memory.updatePeerLoad(peer, load)),
    getPeerLoad: ([peer]) => memory.getPeerLoad(peer),
  })))
}

const CONTROLLER = ['pauseAgent', 'resumeAgent', 'pausePeers', 'resumePeers', 'getTokenSavings', 'getMeshTokenSavings']

function foreignController(controller) {
  return once(controller, 'queryController', CONTROLLER, () => new native.ForeignController(calls, registered({
    pauseAgent: ([agent]) => nothing(controller.pauseAgent(agent)),
    resumeAgent: ([agent, checkpoint]) => nothing(controller.resumeAgent(agent, checkpoint ?? undefined)),
    pausePeers: ([peers, reason]) => nothing(controller.pausePeers(peers, reason ?? undefined)),
    resumePeers: ([peers]) => nothing(controller.resumePeers(peers)),
    getTokenSavings: ([agent]) => controller.getTokenSavings(agent),
    getMeshTokenSavings: ([swarm]) => controller.getMeshTokenSavings(swarm),
    complain: ([what]) => complain(what),
  })))
}

module.exports = { judged, foreignBroker, foreignArtifacts, foreignMemory, foreignController }
