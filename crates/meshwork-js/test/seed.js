'use strict'
// The three usage examples of the seed document, compiled and run.

const { execFileSync, spawnSync } = require('node:child_process')
const { readdirSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { assert } = require('./support.js')

const here = resolve(__dirname, '..')
const examples = join(here, 'examples', 'seed')
const EXAMPLES = ['1-create-mesh-coordinator', '2-assign-task-to-peer', '3-wait-for-mesh-completion']

/** Compiles the examples into `folder`, strictly. */
function compile(folder) {
  const tsc = join(here, 'node_modules', '.bin', 'tsc')
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--rootDir', examples, '--outDir', folder]
  const sources = readdirSync(examples).map(name => join(examples, name))
  const { status, stdout } = spawnSync(tsc, [...options, ...sources], { cwd: here, encoding: 'utf8' })
  assert.equal(status, 0, stdout)
}

/** Runs each example in `folder`; none of them calls `cleanup`, and each ends by itself. */
function runAll(folder) {
  return EXAMPLES.map(name => execFileSync(process.execPath, [join(folder, `${name}.mjs`)], { encoding: 'utf8', timeout: 50_000 }))
}

function checked([first, second, third]) {
  assert.equal(first, '')
  assert.match(second, /^Task assigned to peer: swarm-001-peer-[1-5]\n$/)
  assert.match(third, /^Task assigned to peer: swarm-001-peer-[1-5]\nMesh completed in \d+ms\n$/)
}

/** Compiles them, runs them, and looks at what they print. */
function compiledAndRun(folder) {
  compile(folder)
  checked(runAll(folder))
}

module.exports = { examples, EXAMPLES, compiledAndRun }
