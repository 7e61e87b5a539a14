'use strict'
// A logger: one line of JSON a message, to standard error.

const { MeshworkError, described } = require('./errors.js')
const check = require('./check.js')

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

/** Errors have nothing that JSON would write; what JSON can't carry is described. */
function written(_key, value) {
  if (value instanceof Error) {
    const { name, message, stack, code } = value
    return { name, message, code, stack }
  }
  return typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol' ? described(value) : value
}

class Logger {
  #least
  #write

  constructor(config = {}) {
    const { level = 'info', write = line => process.stderr.write(line), ...others } = check.object(config, 'config', 'InvalidConfig')
    const unknown = Object.keys(others)
    if (unknown.length > 0) {
      throw new MeshworkError('InvalidConfig', `config has ${unknown.join(', ')}, expected level, write; nothing was made`)
    }
    this.#least = LEVELS.indexOf(level)
    if (this.#least < 0) {
      const text = `config.level is ${JSON.stringify(level)}, expected one of ${LEVELS.join(', ')}; nothing was made`
      throw new MeshworkError('InvalidConfig', text)
    }
    this.#write = check.callback(write, 'config.write')
  }

  #log(level, message, context) {
    if (LEVELS.indexOf(level) < this.#least) return
    const head = { level, time: Date.now(), msg: String(message) }
    let line
    try {
      line = JSON.stringify(context === undefined ? head : { ...head, context }, written)
    } catch (error) {
      // A log line must never be the reason why something fails.
      line = JSON.stringify({ ...head, context: described(context), contextError: described(error) })
    }
    this.#write(`${line}\n`)
  }

  debug(message, context) {
    this.#log('debug', message, context)
  }

  info(message, context) {
    this.#log('info', message, context)
  }

  warn(message, context) {
    this.#log('warn', message, context)
  }

  error(message, context) {
    this.#log('error', message, context)
  }
}

/** @param {{ level?: string, write?: (line: string) => void }} [config] */
function createLogger(config) {
  return new Logger(config)
}

module.exports = { createLogger }
