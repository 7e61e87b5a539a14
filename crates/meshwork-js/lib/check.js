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

/** A value as JSON text; what is wrong with it otherwise, and whether anything changed, is said by the caller. */
function json(value, name, wrong = "can't be sent", then = wrong === "can't be sent" ? '; nothing changed' : '') {
  try {
    const written = JSON.stringify(value, carried)
    if (written !== undefined) return written
  } catch (error) {
    // Cycles, too many levels, a `toJSON` that throws.
    throw new MeshworkError('Unserializable', `${name} ${wrong}: ${error?.message}${then}`)
  }
  throw new MeshworkError('Unserializable', `${name} ${wrong}: it is ${kind(value)}${then}`)
}

/** A configuration as JSON text; `objects` are fields of it that are not data. */
function config(value, objects = []) {
  if (value === undefined) return '{}'
  const given = { ...object(value, 'config', 'InvalidConfig') }
  for (const field of objects) delete given[field]
  return json(given, 'config')
}

/** Refuses what `names` has not. */
function known(value, name, names, code = 'InvalidConfig') {
  const unknown = Object.keys(value).filter(field => !names.includes(field) && value[field] !== undefined)
  if (unknown.length === 0) return
  const text = `${name} has ${unknown.join(', ')}, expected ${names.join(', ')}; nothing changed`
  throw Object.assign(new MeshworkError(code, text), { field: unknown[0] })
}

const KINDS = {
  string: ['a string of whole characters', value => typeof value === 'string' && value.isWellFormed()],
  number: ['a number', value => typeof value === 'number' && Number.isFinite(value)],
  whole: ['a whole number of at least 0', value => Number.isSafeInteger(value) && value >= 0],
  boolean: ['true or false', value => typeof value === 'boolean'],
  'number or null': ['a number, or null', value => value === null || (typeof value === 'number' && Number.isFinite(value))],
  object: ['an object', value => value !== null && typeof value === 'object' && !Array.isArray(value)],
  strings: ['an array of strings of whole characters', value => Array.isArray(value) && value.every(KINDS.string[1])],
}

/** Whether every field of `value` is of its kind: a word of `KINDS`, one of several texts, or an object with fields. */
function fields(value, name, kinds, code = 'InvalidConfig') {
  known(value, name, Object.keys(kinds), code)
  for (const [field, kind] of Object.entries(kinds)) {
    const found = value[field]
    if (found === undefined) continue
    const bad = expected => Object.assign(wrong(`${name}.${field}`, found, expected, code), { field })
    if (Array.isArray(kind)) {
      if (!kind.includes(found)) throw bad(`one of ${kind.join(', ')}`)
    } else if (typeof kind === 'object') {
      if (found === null || typeof found !== 'object' || Array.isArray(found)) throw bad('an object')
      fields(found, `${name}.${field}`, kind, code)
    } else {
      const [expected, fits] = KINDS[kind]
      if (!fits(found)) throw bad(expected)
    }
  }
}

const TASK = {
  id: 'string',
  type: 'string',
  description: 'string',
  requiredCapabilities: 'strings',
  priority: 'whole',
  dependencies: 'strings',
  assignedPeer: 'string',
  state: ['pending', 'assigned', 'running', 'completed', 'failed'],
  createdAt: 'number',
  run: 'string',
  retries: 'whole',
  timeoutMs: 'whole',
}

/** A task as JSON text. What the mesh sets of it is left out. */
function task(given) {
  if (given === null || typeof given !== 'object' || Array.isArray(given)) throw wrong('task', given, 'a task', 'InvalidTask')
  const { result: _result, error: _error, assignedAt: _assigned, completedAt: _completed, input, ...settings } = given
  fields(settings, 'task', TASK, 'InvalidTask')
  if (settings.id === undefined) throw Object.assign(wrong('task.id', undefined, 'a string', 'InvalidTask'), { field: 'id' })
  const { type = '', description = '', requiredCapabilities = [], priority = 5, dependencies = [], state = 'pending' } = settings
  if (priority > 255) throw Object.assign(wrong('task.priority', priority, '1 to 10', 'InvalidTask'), { field: 'priority' })
  return json({ ...settings, type, description, requiredCapabilities, priority, dependencies, state, createdAt: 0, input }, 'task')
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

module.exports = { wrong, text, texts, callback, number, object, millis, json, config, known, fields, task, message }
