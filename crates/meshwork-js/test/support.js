'use strict'
// What several tests use.

const assert = require('node:assert/strict')
const { test: nodeTest } = require('node:test')
const { spawn } = require('node:child_process')
const { join } = require('node:path')

/** The longest that anything may take; a test that needs more has failed. */
const DEADLINE = 60_000

const test = (name, body, timeout = DEADLINE + 10_000) => nodeTest(name, { timeout }, body)

const message = (payload, more) => ({ type: 'test', payload, timestamp: 1_700_000_000_000, ...more })

/** A promise, and what resolves it. */
function signal() {
  let resolve
  const promise = new Promise(done => { resolve = done })
  return { promise, resolve }
}

/** Resolves when `count` calls were made; remembers what they were given. */
function collector(count) {
  const { promise, resolve } = signal()
  const all = []
  const take = given => {
    all.push(given)
    if (all.length === count) resolve(all)
  }
  return { take, all, done: promise }
}

/** Resolves when it is so. For what comes without an event: it looks at each turn of the loop, until the deadline. */
async function until(isSo, deadline = DEADLINE) {
  const end = Date.now() + deadline
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`it never came to be: ${isSo}`)
    await new Promise(setImmediate)
  }
}

/** That many letters, once they are dead. */
async function dead(broker, count) {
  await until(() => broker.getMetrics().dead >= count)
  return broker.getDeadLetters()
}

/** What JavaScript throws or rejects with: an Error that has this code. */
function failsWith(code, text = '') {
  return error => {
    assert.ok(error instanceof Error, `an Error, not ${error}`)
    assert.equal(error.code, code, error.message)
    assert.ok(error.message.includes(text), `${JSON.stringify(error.message)} says ${JSON.stringify(text)}`)
    return true
  }
}

/** Runs a program of its own with the package as `meshwork`; resolves to its exit code and what it wrote. */
function run(source, { env = {}, type = 'commonjs' } = {}) {
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', `--input-type=${type}`, '-e', source], {
    cwd: join(__dirname, '..'),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => { out += chunk })
  child.stderr.on('data', chunk => { err += chunk })
  return new Promise((resolve, reject) => {
    // A program that does not end is what some tests look for.
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`the program did not end; it wrote: ${out}${err}`))
    }, DEADLINE - 10_000)
    child.on('error', reject)
    child.on('close', (code, killedBy) => {
      clearTimeout(timer)
      resolve({ code, killedBy, out, err })
    })
  })
}

module.exports = { assert, test, message, signal, collector, until, dead, failsWith, run }
