'use strict'
// The functions that the compiled part may call, and its calls, taken and answered in batches.

const { native } = require('./native.js')
const { failure, described, MeshworkError } = require('./errors.js')
const { json } = require('./check.js')

/** By number: what is called with arguments, and perhaps bytes. */
const functions = new Map()
let last = 0

/** Answers that the compiled part has not been given yet. */
let answers = []

const calls = new native.Calls(take, now)

/**
 * Registers a function, until the compiled part forgets it. What it answers crosses as JSON, bytes as bytes.
 * @param {(args: any[], bytes?: Buffer) => unknown} called
 */
function register(called) {
  last += 1
  functions.set(last, called)
  return last
}

/** Throws, and has done nothing, when the value can't be written. */
function answer(call, value) {
  if (value instanceof Uint8Array) {
    calls.settleBytes(call, Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  } else {
    answers.push(value === undefined ? `[${call},null]` : `[${call},${json(value, 'the answer')}]`)
  }
}

function refuse(call, thrown) {
  answers.push(`[${call},null,${JSON.stringify(failure(thrown))}]`)
}

/** Nobody waits for this one; it is told to whoever reads warnings. */
function complain(thrown) {
  process.emitWarning(`a callback failed: ${described(thrown)}`, { type: 'MeshworkWarning', code: 'CallbackFailed' })
}

let handingOver = false
function handOver() {
  handingOver = false
  if (answers.length === 0) return
  const settled = `[${answers.join(',')}]`
  answers = []
  calls.settle(settled)
}

/** Answers that come one by one, after the batch, are handed over together too. */
function later(call, settle, value) {
  try {
    settle(call, value)
  } catch (error) {
    refuse(call, error)
  }
  if (!handingOver) {
    handingOver = true
    queueMicrotask(handOver)
  }
}

/** One call that is answered at once, as text; never throws. */
function now(number, args) {
  try {
    const called = functions.get(number)
    if (called === undefined) throw new MeshworkError('Closed', 'the function is gone')
    const value = called(JSON.parse(args))
    return value === undefined ? '[0,null]' : `[0,${json(value, 'the answer')}]`
  } catch (thrown) {
    return `[0,null,${JSON.stringify(failure(thrown))}]`
  }
}

function one(call, number, args, bytes) {
  if (args === null) {
    functions.delete(number)
    return
  }
  try {
    const called = functions.get(number)
    if (called === undefined) throw new MeshworkError('Closed', 'the function is gone')
    const value = called(args, bytes)
    if (value !== null && (typeof value === 'object' || typeof value === 'function') && typeof value.then === 'function') {
      const settled = Promise.resolve(value)
      if (call === 0) settled.catch(complain)
      else settled.then(value => later(call, answer, value), thrown => later(call, refuse, thrown))
    } else if (call !== 0) {
      answer(call, value)
    }
  } catch (thrown) {
    if (call === 0) complain(thrown)
    else refuse(call, thrown)
  }
}

function take() {
  const batch = calls.take()
  if (batch === null) return
  for (const [call, number, args, at] of JSON.parse(batch.text)) {
    one(call, number, args, at === undefined ? undefined : batch.bytes[at])
  }
  handOver()
}

module.exports = { calls, functions, register, complain }
