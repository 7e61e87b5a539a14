'use strict'
// The package as others get it: packed, installed into an empty folder, loaded in both ways, its examples run, the
// seed's three among them.

const { execFileSync, spawnSync } = require('node:child_process')
const { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join, resolve } = require('node:path')
const { assert, test } = require('./support.js')
const { EXAMPLES, compiledAndRun } = require('./seed.js')
const { platform } = require('../lib/platform.js')

const here = resolve(__dirname, '..')

function npm(cwd, ...args) {
  const options = { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  return execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], options)
}

test('packed and installed into an empty folder, it works', t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-pack-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [{ filename, files }] = JSON.parse(npm(here, 'pack', '--json', '--pack-destination', folder))
  const packed = files.map(file => file.path)
  for (const needed of ['README.md', 'index.js', 'index.mjs', 'index.d.ts', 'lib/broker.js', 'package.json', ...EXAMPLES.map(name => `examples/seed/${name}.mts`)]) {
    assert.ok(packed.includes(needed), `${needed} is packed`)
  }
  assert.ok(packed.some(path => path.endsWith('.node')), 'what was compiled here is packed')
  const stray = packed.filter(path => /^(src|test|scripts|node_modules)\//.test(path) || path.endsWith('.toml'))
  assert.deepEqual(stray, [], 'nothing else is')

  const user = join(folder, 'user')
  cpSync(join(here, 'examples'), user, { recursive: true })
  writeFileSync(join(user, 'package.json'), '{ "name": "user", "private": true }\n')
  // Nothing of a registry is needed.
  npm(user, 'install', '--offline', '--ignore-scripts', join(folder, filename))
  const run = (...args) => execFileSync(process.execPath, args, { cwd: user, encoding: 'utf8' })
  assert.equal(run('-p', "Object.keys(require('meshwork')).includes('createMessageBroker')"), 'true\n')
  assert.equal(
    run('messages.mjs'),
    'writer got "an outline"\nreviewer got "an outline, written"\ncompleted: true\n',
  )
  compiledAndRun(join(user, 'seed'))
})

test('without a compiled part it says what is missing', t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-bare-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const path of ['package.json', 'index.js', 'lib']) cpSync(join(here, path), join(folder, path), { recursive: true })
  const program = "try { require('./index.js') } catch (error) { console.log(error.code, error.message) }"
  const said = execFileSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8' })
  assert.match(said, /^NativeMissing meshwork has no compiled part for /)
})

test('as it is published, the compiled part comes in a package for the platform', t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-layout-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  execFileSync(process.execPath, [join(here, 'scripts', 'layout.js'), folder], { encoding: 'utf8' })
  const read = name => JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8'))
  const main = read('meshwork')
  const ours = `meshwork-${platform()}`
  assert.equal(main.optionalDependencies[ours], main.version)
  assert.deepEqual([read(ours).version, read(ours).os, read(ours).cpu], [main.version, [process.platform], [process.arch]])
  assert.equal(main.files.some(path => path.endsWith('.node')), false)
  // Beside each other, as npm puts them.
  const program = "console.log(Object.keys(require('meshwork')).length > 10)"
  const paths = { NODE_PATH: folder }
  const said = execFileSync(process.execPath, ['-e', program], { cwd: tmpdir(), encoding: 'utf8', env: { ...process.env, ...paths } })
  assert.equal(said, 'true\n')
})

test('it is laid out nowhere that is not empty', t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-layout-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'something'), '')
  const failed = spawnSync(process.execPath, [join(here, 'scripts', 'layout.js'), folder], { encoding: 'utf8' })
  assert.equal(failed.status, 1)
  assert.match(failed.stderr, /is not empty/)
})
