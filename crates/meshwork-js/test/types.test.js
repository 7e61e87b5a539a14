'use strict'
// The type tests, see scripts/types.js: the seed's declarations against the package's, under `tsc --strict`.

const { execFileSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const meshwork = require('meshwork')
const { assert, test } = require('./support.js')

test('the package has the types of the seed, member by member', () => {
  const out = execFileSync(process.execPath, [join(__dirname, '..', 'scripts', 'types.js')], { encoding: 'utf8' })
  assert.match(out, /^types: 27 interfaces and 27 exported names of the seed conform/m)
})

test('what is there when it runs is declared, and both ways of loading it give the same', async () => {
  const declarations = readFileSync(join(__dirname, '..', 'index.d.ts'), 'utf8')
  for (const name of Object.keys(meshwork)) assert.match(declarations, new RegExp(`^export (function|class) ${name}\\b`, 'm'))
  const declared = [...declarations.matchAll(/^export (?:function|class) (\w+)/gm)].map(([, name]) => name)
  assert.deepEqual(declared.filter(name => !(name in meshwork)), [])
  const imported = await import('meshwork')
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(meshwork).sort())
  for (const [name, value] of Object.entries(imported)) assert.equal(value, meshwork[name])
})
