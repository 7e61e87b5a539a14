'use strict'
// What the guide and the package's README show: every program runs and prints what is written under it, and the seed's
// three usage examples are in the README word for word, but for the path of the import.

const { readFileSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { assert, test, run } = require('./support.js')

const here = resolve(__dirname, '..')
const repository = resolve(here, '..', '..')
const read = (...path) => readFileSync(join(...path), 'utf8')

/** The programs of a document: the heading that each stands under, its source, and what is said that it prints. */
function programs(text) {
  const found = []
  let heading = ''
  for (const [, title, source, output] of text.matchAll(/^## ([^\n]*)$|^```js\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?/gms)) {
    if (title !== undefined) heading = title
    else found.push({ heading, source, output })
  }
  return found
}

/** Each program of a document is a test. */
function runsAll(name, text, least) {
  const all = programs(text)
  test(`${name} has programs`, () => assert.ok(all.length >= least, `${all.length} of at least ${least}`))
  for (const { heading, source, output } of all) {
    test(`${name}, ${heading}`, async () => {
      const { code, out, err } = await run(source, { type: 'module' })
      assert.equal(code, 0, err)
      if (output !== undefined) assert.equal(out, output)
      assert.equal(err, '')
    })
  }
}

runsAll('the guide', read(repository, 'docs', 'typescript.md'), 8)
runsAll('the README', read(here, 'README.md'), 3)

test('the README has the seed\'s usage examples', () => {
  const usage = read(repository, 'docs', 'seed', 'phase-6-interfaces.md').split(/^## /m).find(part => part.startsWith('Usage Examples'))
  const blocks = [...usage.matchAll(/^```typescript\n(.*?)^```/gms)].map(match => match[1])
  assert.equal(blocks.length, 3)
  const readme = read(here, 'README.md')
  for (const block of blocks) {
    const words = block.replace("'@/coordination/v2/coordinators/mesh'", "'meshwork'")
    assert.ok(readme.includes(words), words)
  }
})
