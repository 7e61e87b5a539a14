'use strict'
// What callers give, judged before anything is done with it.

const { types } = require('node:util')
const { MeshworkError, MeshworkTypeError } = require('./errors.js')

/** What was found, in a word or as a short text. */
function kind(value) {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return value === undefined ? 'undefined' : `a value of type ${typeof value}`
}

function wrong(name, found, expected, code = 'InvalidArgument') {
  return new MeshworkTypeError(code, `${name} is ${kind(found)}, expected ${expected}; nothing changed`)
}

/** A text without half of a character. */
function text(value, name) {
  if (typeof value !== 'string') throw wrong(name, value, 'a string')
  if (!value.isWellFormed()) throw wrong(name, value, 'a string of whole characters')
  return value
}

function texts(value, name) {
  if (!Array.isArray(value)) throw wrong(name, value, 'an array of strings')
  return value.map((one, index) => text(one, `${name}[${index}]`))
}

function callback(value, name) {
  if (typeof value !== 'function') throw wrong(name, value, 'a function', 'InvalidHandler')
  return value
}

function number(value, name) {
  if (typeof value !== 'number' || Number.isNaN(value)) throw wrong(name, value, 'a number')
  return value
}

function object(value, name, code) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw wrong(name, value, 'an object', code)
  return value
}

function millis(value, name) {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw wrong(name, value, 'a number of milliseconds')
  }
  return Math.round(value)
}

/** What JSON would leave out or change without a word; nothing for what it carries. */
function uncarried(value) {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? undefined : String(value)
    case 'object':
      if (types.isMap(value)) return 'a Map'
      if (types.isSet(value)) return 'a Set'
      return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value) ? 'bytes' : undefined
    case 'bigint':
    case 'function':
    case 'symbol':
      return kind(value)
    default:
      return undefined
  }
}

/** For `JSON.stringify`: a value as it is written, but for what JSON can't carry. Buffers write themselves as something else. */
function carried(key, written) {
  const what = uncarried(written) ?? uncarried(this[key])
  if (what === undefined) return written
  throw new MeshworkError('Unserializable', `${key === '' ? 'the value' : `"${key}"`} is ${what}, which JSON can't carry`)
}

/** A value as JSON text. */
function json(value, name) {
  try {
    const written = JSON.stringify(value, carried)
    if (written !== undefined) return written
  } catch (error) {
    // Cycles, too many levels, a `toJSON` that throws.
    throw new MeshworkError('Unserializable', `${name} can't be sent: ${error?.message}; nothing changed`)
  }
  throw new MeshworkError('Unserializable', `${name} can't be sent: it is ${kind(value)}; nothing changed`)
}

/** A configuration as JSON text; `objects` are fields of it that are not data. */
function config(value, objects = []) {
  if (value === undefined) return '{}'
  const given = { ...object(value, 'config', 'InvalidConfig') }
  for (const field of objects) delete given[field]
  return json(given, 'config')
}

const MESSAGE_TEXTS = ['senderId', 'recipientId', 'messageId']
const ROUTINGS = ['broadcast', 'p2p', 'multicast']

/** A message as JSON text. A payload of `undefined` arrives as `null`. */
function message(value) {
  const bad = (field, found, expected) => wrong(`message.${field}`, found, expected, 'InvalidMessage')
  if (value === null || typeof value !== 'object') throw wrong('message', value, 'a message', 'InvalidMessage')
  const { type, payload = null, timestamp, routingType, metadata } = value
  if (typeof type !== 'string') throw bad('type', type, 'a string')
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) {
    throw bad('timestamp', timestamp, 'a whole number of milliseconds since the epoch')
  }
  if (routingType !== undefined && !ROUTINGS.includes(routingType)) {
    throw bad('routingType', routingType, "'broadcast', 'p2p' or 'multicast'")
  }
  if (metadata !== undefined && (metadata === null || typeof metadata !== 'object' || Array.isArray(metadata))) {
    throw bad('metadata', metadata, 'an object')
  }
  const sent = { type, payload, timestamp, routingType, metadata }
  for (const field of MESSAGE_TEXTS) {
    const found = value[field]
    if (found !== undefined && typeof found !== 'string') throw bad(field, found, 'a string')
    sent[field] = found
  }
  return json(sent, 'message')
}

module.exports = { wrong, text, texts, callback, number, object, millis, json, config, message }
