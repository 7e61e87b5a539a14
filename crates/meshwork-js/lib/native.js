'use strict'
// Finds the compiled part: the one that was built here, else the package of this platform.

const { join } = require('node:path')
const { existsSync } = require('node:fs')
const { platform } = require('./platform.js')

function load() {
  const name = platform()
  const local = join(__dirname, '..', `meshwork.${name}.node`)
  if (existsSync(local)) return require(local)
  try {
    return require(`meshwork-${name}`)
  } catch (cause) {
    const text = `meshwork has no compiled part for ${name}: neither ${local} nor the package meshwork-${name} is there`
    throw Object.assign(new Error(text, { cause }), { code: 'NativeMissing' })
  }
}

module.exports = { native: load() }
