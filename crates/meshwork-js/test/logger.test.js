'use strict'
// The logger.

const { createLogger } = require('meshwork')
const { assert, test, failsWith, run } = require('./support.js')

function logger(level) {
  const lines = []
  return { lines, log: createLogger({ level, write: line => lines.push(line) }) }
}

test('a line of JSON a message, from its level on', () => {
  const levels = ['debug', 'info', 'warn', 'error']
  for (const [at, level] of [...levels, 'silent'].entries()) {
    const { lines, log } = logger(level)
    for (const each of levels) log[each](`at ${each}`, { n: 1 })
    const found = lines.map(line => JSON.parse(line))
    assert.deepEqual(found.map(line => line.level), levels.slice(at))
    for (const line of found) {
      assert.equal(line.msg, `at ${line.level}`)
      assert.deepEqual(line.context, { n: 1 })
      assert.ok(Number.isInteger(line.time))
    }
    assert.ok(lines.every(line => line.endsWith('\n') && line.indexOf('\n') === line.length - 1))
  }
})

test('errors are written, and nothing that is logged throws', () => {
  const { lines, log } = logger('debug')
  const cycle = {}
  cycle.self = cycle
  log.error('failed', { error: Object.assign(new Error('why'), { code: 'X' }) })
  log.warn('odd', { big: 1n, f: () => {}, s: Symbol('s') })
  log.info('cycle', cycle)
  log.debug('a\nline')
  log.info(undefined)
  const found = lines.map(line => JSON.parse(line))
  assert.deepEqual([found[0].context.error.message, found[0].context.error.code], ['why', 'X'])
  assert.equal(found[1].context.big, '1n')
  assert.match(found[2].context, /self/)
  assert.equal(found[3].msg, 'a\nline')
  assert.equal(lines.length, 5)
})

test('it writes to standard error, from info on', async () => {
  const { code, out, err } = await run(`
    const log = require('meshwork').createLogger()
    log.debug('no')
    log.info('yes')
  `)
  assert.equal(code, 0)
  assert.equal(out, '')
  assert.equal(JSON.parse(err).msg, 'yes')
})

test('a configuration that can\'t be used is refused', () => {
  assert.throws(() => createLogger({ level: 'loud' }), failsWith('InvalidConfig', '"loud"'))
  assert.throws(() => createLogger({ levels: 'info' }), failsWith('InvalidConfig', 'levels'))
  assert.throws(() => createLogger({ write: 5 }), failsWith('InvalidHandler', 'config.write'))
  assert.throws(() => createLogger(5), failsWith('InvalidConfig', 'config is 5'))
})
