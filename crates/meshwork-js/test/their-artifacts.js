'use strict'
// An artifact storage as somebody else would write it, with the seed's members and nothing else.

class TheirArtifacts {
  all = new Map()

  async store(key, bytes) {
    this.all.set(key, Buffer.from(bytes))
    return { key, size: bytes.length }
  }

  async retrieve(key) {
    if (!this.all.has(key)) throw Object.assign(new Error(`no ${key}`), { code: 'NotFound' })
    return this.all.get(key)
  }

  async delete(key) {
    return this.all.delete(key)
  }

  async list(prefix = '') {
    return [...this.all].filter(([key]) => key.startsWith(prefix)).map(([key, bytes]) => ({ key, size: bytes.length }))
  }

  async stat(key) {
    return (await this.list(key)).find(info => info.key === key)
  }
}

module.exports = { TheirArtifacts }
