'use strict'
// The type tests: the declarations of the seed document, extracted word for word, against the package's.
//
// Writes test/types/seed/: `seed.d.ts` (sections 1 to 9, and what binds their open names) and `usage.mts` (the three
// usage examples); then runs `tsc --strict` over test/types. Prints a line for each interface, and fails if one is missing.

const { spawnSync } = require('node:child_process')
const { mkdirSync, readFileSync, writeFileSync } = require('node:fs')
const { join, resolve } = require('node:path')

const here = resolve(__dirname, '..')
const tests = join(here, 'test', 'types')
const document = readFileSync(join(here, '..', '..', 'docs', 'seed', 'phase-6-interfaces.md'), 'utf8')

/** The part of the document from one heading of the second level to the next, by what its heading begins with. */
function section(heading) {
  const found = document.split(/^## /m).find(part => part.startsWith(heading))
  if (found === undefined) throw new Error(`the seed document has no section "${heading}"`)
  return found
}

/** The TypeScript of a section. */
function blocks(heading) {
  const found = [...section(heading).matchAll(/^```typescript\n(.*?)^```/gms)].map(match => match[1])
  if (found.length === 0) throw new Error(`section "${heading}" of the seed document has no TypeScript`)
  return found
}

const declared = [1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap(number => blocks(`${number}. `))
const interfaces = declared.flatMap(block => [...block.matchAll(/^export interface (\w+)/gm)].map(match => match[1]))
const exported = blocks('10. ').flatMap(block => [...block.matchAll(/^ {2}(\w+),?$/gm)].map(match => match[1]))

/** Every interface has a check, by name, and every name of section 10 is exported by the package. */
function complete() {
  const conformance = readFileSync(join(tests, 'conformance.mts'), 'utf8')
  const unchecked = interfaces.filter(name => !conformance.includes(`Conforms<Seed.${name}, Pkg.${name}>`))
  if (unchecked.length > 0) throw new Error(`test/types/conformance.mts does not check ${unchecked.join(', ')}`)
  const declarations = readFileSync(join(here, 'index.d.ts'), 'utf8')
  const has = name => new RegExp(`^export (interface|type|function|class) ${name}\\b`, 'm').test(declarations)
  const missing = [...interfaces, ...exported].filter(name => !has(name))
  if (missing.length > 0) throw new Error(`index.d.ts does not export ${missing.join(', ')}`)
  // What would make a check true without looking.
  for (const [name, text] of [['conformance.mts', conformance], ['dependencies.mts', readFileSync(join(tests, 'dependencies.mts'), 'utf8')]]) {
    const evasion = text.replace(/\/\/.*$|\/\*.*?\*\//gms, '').match(/\bany\b|\bas (?!Seed\b|Pkg\b)\w|<any>/)
    if (evasion !== null || text.includes('@ts-ignore')) throw new Error(`test/types/${name} evades the types: ${evasion?.[0] ?? '@ts-ignore'}`)
  }
}

function extract() {
  const folder = join(tests, 'seed')
  mkdirSync(folder, { recursive: true })
  const bindings = readFileSync(join(tests, 'bindings.txt'), 'utf8')
  writeFileSync(join(folder, 'seed.d.ts'), [...declared, bindings].join('\n'))
  const usage = blocks('Usage Examples')
  const names = readFileSync(join(tests, 'usage-names.txt'), 'utf8')
  writeFileSync(join(folder, 'usage.mts'), [names, ...usage].join('\n'))
}

extract()
complete()
const tsc = join(here, 'node_modules', '.bin', 'tsc')
const { status } = spawnSync(tsc, ['--project', join(tests, 'tsconfig.json')], { stdio: 'inherit' })
if (status !== 0) {
  console.error('types: not as the seed has them')
  process.exit(1)
}
console.log(`types: ${interfaces.length} interfaces and ${exported.length} exported names of the seed conform`)
