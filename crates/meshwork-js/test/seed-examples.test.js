'use strict'
// The three usage examples of the seed document: word for word, but for the path of the import, compiled and run.

const { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join, resolve } = require('node:path')
const { assert, test } = require('./support.js')
const { examples, EXAMPLES, compiledAndRun } = require('./seed.js')

const here = resolve(__dirname, '..')

test('they are the seed\'s, word for word but for the path of the import', () => {
  const document = readFileSync(join(here, '..', '..', 'docs', 'seed', 'phase-6-interfaces.md'), 'utf8')
  const usage = document.split(/^## /m).find(part => part.startsWith('Usage Examples'))
  const blocks = [...usage.matchAll(/^```typescript\n(.*?)^```/gms)].map(match => match[1])
  assert.equal(blocks.length, EXAMPLES.length)
  for (const [index, name] of EXAMPLES.entries()) {
    const words = blocks[index].replace("'@/coordination/v2/coordinators/mesh'", "'meshwork'")
    assert.ok(readFileSync(join(examples, `${name}.mts`), 'utf8').includes(`\n${words}`), name)
  }
})

test('they compile and run', t => {
  const folder = mkdtempSync(join(tmpdir(), 'meshwork-seed-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(here, join(folder, 'node_modules', 'meshwork'))
  compiledAndRun(folder)
})
