'use strict'
// Writes what is published into a folder: the package without a compiled part, and beside it one package for each
// platform whose compiled part lies here. `npm run layout FOLDER`; then `npm publish` in each.

const { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } = require('node:fs')
const { join, resolve } = require('node:path')

const here = resolve(__dirname, '..')

function fail(text) {
  console.error(`layout: ${text}; nothing was written`)
  process.exit(1)
}

const [given] = process.argv.slice(2)
if (given === undefined) fail('expected the folder to write into')
const folder = resolve(given)
if (existsSync(folder) && readdirSync(folder).length > 0) fail(`${folder} is not empty`)

const { platforms, scripts, devDependencies, ...rest } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const part = platform => `meshwork.${platform}.node`
const built = platforms.filter(platform => existsSync(join(here, part(platform))))
if (built.length === 0) fail('there is no compiled part; run `npm run build` first')

function write(name, manifest) {
  const place = join(folder, name)
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return place
}

const optionalDependencies = Object.fromEntries(platforms.map(platform => [`meshwork-${platform}`, rest.version]))
const files = rest.files.filter(path => !path.endsWith('.node'))
const main = write('meshwork', { ...rest, files, optionalDependencies })
for (const path of [...files, 'README.md']) cpSync(join(here, path), join(main, path), { recursive: true })

for (const platform of built) {
  const [os, cpu, libc] = platform.split('-')
  const place = write(`meshwork-${platform}`, {
    name: `meshwork-${platform}`,
    version: rest.version,
    description: `The compiled part of meshwork for ${platform}.`,
    license: rest.license,
    main: part(platform),
    files: [part(platform)],
    engines: rest.engines,
    os: [os],
    cpu: [cpu],
    libc: [libc === 'gnu' ? 'glibc' : libc],
  })
  copyFileSync(join(here, part(platform)), join(place, part(platform)))
}
console.log(`${folder}: meshwork, ${built.map(platform => `meshwork-${platform}`).join(', ')}`)
