'use strict'
// What went wrong, as an `Error` with a `code`.

class MeshworkError extends Error {
  /** @param {string} code @param {string} message @param {object} [details] */
  constructor(code, message, details) {
    super(message)
    Object.assign(this, details)
    this.code = code
  }
}
Object.defineProperty(MeshworkError.prototype, 'name', { value: 'MeshworkError', writable: true, configurable: true })

/** The same for what is no value of the right kind: a `TypeError`, as JavaScript has it. */
class MeshworkTypeError extends TypeError {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

/** The value of an outcome of the compiled part; throws when it is a failure. */
function opened(outcome) {
  if (outcome === null || outcome === undefined) return undefined
  const said = JSON.parse(outcome)
  if ('failure' in said) {
    const { code, message, details } = said.failure
    throw new MeshworkError(code, message, details)
  }
  return said.value
}

/** A text about whatever was thrown; never throws itself. */
function described(thrown) {
  try {
    if (thrown instanceof Error) return (String(thrown.message) || String(thrown.name)).toWellFormed()
    return (typeof thrown === 'string' ? thrown : require('node:util').inspect(thrown, { depth: 1 })).toWellFormed()
  } catch {
    return 'something that can not be described'
  }
}

/** Whatever was thrown, as the compiled part takes it. */
function failure(thrown) {
  let code
  try {
    code = thrown?.code
  } catch {
    // A getter that throws names no code.
  }
  return { code: typeof code === 'string' && code.isWellFormed() ? code : 'Foreign', message: described(thrown) }
}

module.exports = { MeshworkError, MeshworkTypeError, opened, described, failure }
