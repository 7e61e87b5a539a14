'use strict'
// Artifact storage.

const { native } = require('./native.js')
const { opened } = require('./errors.js')
const check = require('./check.js')

const natives = new WeakMap()

function bytesOf(value) {
  if (!(value instanceof Uint8Array)) throw check.wrong('bytes', value, 'a Uint8Array or Buffer')
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

class ArtifactStorage {
  #native

  constructor(config) {
    const made = native.Artifacts.make(check.config(config))
    if (typeof made === 'string') opened(made)
    this.#native = made
    natives.set(this, made)
  }

  async store(key, bytes) {
    return opened(await this.#native.store(check.text(key, 'key'), bytesOf(bytes)))
  }

  async retrieve(key) {
    const found = await this.#native.retrieve(check.text(key, 'key'))
    return typeof found === 'string' ? opened(found) : found
  }

  async delete(key) {
    return opened(await this.#native.delete(check.text(key, 'key')))
  }

  async list(prefix = '') {
    return opened(await this.#native.list(check.text(prefix, 'prefix')))
  }

  async stat(key) {
    return opened(await this.#native.stat(check.text(key, 'key'))) ?? undefined
  }

  async close() {
    opened(this.#native.close())
  }
}

/** @param {{ path?: string }} [config] */
function createArtifactStorage(config) {
  return new ArtifactStorage(config)
}

/** The compiled object behind a storage of ours; nothing for others. */
const nativeArtifacts = storage => natives.get(storage)

module.exports = { createArtifactStorage, nativeArtifacts }
