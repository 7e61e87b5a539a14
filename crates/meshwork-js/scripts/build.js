'use strict'
// Builds the compiled part and puts it where `lib/native.js` looks first. `--debug` builds fast instead of fast code.

const { execFileSync } = require('node:child_process')
const { copyFileSync, renameSync, existsSync } = require('node:fs')
const { join, resolve } = require('node:path')

const here = resolve(__dirname, '..')
const root = resolve(here, '..', '..')
const debug = process.argv.includes('--debug')

/** `linux-x64-gnu`; told without loading what is to be built. */
const { platform } = require('../lib/platform.js')

if (!existsSync(join(root, 'Cargo.toml'))) {
  throw new Error(`${root} has no Cargo.toml: the compiled part is built in a checkout of the repository`)
}
// What others load needs no names of lines; what is built to be tested keeps them.
const command = debug
  ? ['build', '--package', 'meshwork-js']
  : ['rustc', '--package', 'meshwork-js', '--release', '--', '-C', 'strip=debuginfo']
execFileSync(process.env.CARGO ?? 'cargo', command, { cwd: root, stdio: 'inherit' })

const target = process.env.CARGO_TARGET_DIR ? resolve(root, process.env.CARGO_TARGET_DIR) : join(root, 'target')
const library = { darwin: 'libmeshwork_js.dylib', win32: 'meshwork_js.dll' }[process.platform] ?? 'libmeshwork_js.so'
const place = join(here, `meshwork.${platform()}.node`)
// Moved into its place, because a Node that runs has the old one open.
copyFileSync(join(target, debug ? 'debug' : 'release', library), `${place}.new`)
renameSync(`${place}.new`, place)
console.log(`built ${place}`)
