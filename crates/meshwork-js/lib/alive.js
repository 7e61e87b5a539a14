'use strict'
// Nothing here keeps Node alive, but for messages on their way to a handler: a timer runs as long as there are any.
// What a handler waits for is its own business.

const { calls } = require('./calls.js')

/** How long until it is looked again whether messages are on their way, in ms. */
const LOOK = 10

/** Brokers that sent something since it was last found that all had arrived. */
const busy = new Set()
let timer

function look() {
  let waiting = -calls.inHand()
  for (const broker of busy) waiting += broker.inFlight()
  if (waiting > 0) return
  clearInterval(timer)
  timer = undefined
  busy.clear()
}

/** The broker is about to take a message. */
function sends(broker) {
  busy.add(broker)
  timer ??= setInterval(look, LOOK)
}

/** The broker is closed: nothing of it is on its way. */
function ends(broker) {
  busy.delete(broker)
  if (timer !== undefined) look()
}

module.exports = { sends, ends }
