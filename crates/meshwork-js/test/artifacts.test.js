'use strict'
// Artifact storage: every method, and what it says of bad input.

const { mkdtempSync, existsSync, rmSync, readdirSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { createArtifactStorage } = require('meshwork')
const { assert, test, failsWith } = require('./support.js')

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'meshwork-test-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('bytes come back', async () => {
  const storage = createArtifactStorage()
  for (const [key, bytes] of [['a', Buffer.from('text')], ['empty', new Uint8Array()], ['dir/né b.bin', Uint8Array.of(0, 255, 10)]]) {
    const before = Date.now()
    const info = await storage.store(key, bytes)
    assert.deepEqual([info.key, info.size, info.digest.length], [key, bytes.length, 64])
    assert.ok(info.storedAt >= before && info.storedAt <= Date.now())
    const read = await storage.retrieve(key)
    assert.ok(Buffer.isBuffer(read))
    assert.deepEqual(Buffer.from(read), Buffer.from(bytes))
    assert.deepEqual(await storage.stat(key), info)
  }
  await storage.close()
})

test('a part of a larger array is stored as that part, as it was at the call', async () => {
  const storage = createArtifactStorage()
  const whole = Buffer.from('0123456789')
  const stored = storage.store('k', whole.subarray(2, 5))
  whole.fill(0x78)
  await stored
  assert.equal((await storage.retrieve('k')).toString(), '234')
  await storage.close()
})

test('keys are overwritten, listed and deleted', async () => {
  const storage = createArtifactStorage()
  for (const key of ['b/2', 'a', 'b/1']) await storage.store(key, Buffer.from(key))
  await storage.store('a', Buffer.from('again'))
  assert.equal((await storage.retrieve('a')).toString(), 'again')
  assert.deepEqual((await storage.list()).map(info => info.key), ['a', 'b/1', 'b/2'])
  assert.deepEqual((await storage.list('b/')).map(info => info.key), ['b/1', 'b/2'])
  assert.deepEqual(await storage.list('c'), [])
  assert.equal(await storage.delete('a'), true)
  assert.equal(await storage.delete('a'), false)
  assert.equal(await storage.stat('a'), undefined)
  await storage.close()
})

test('what is not there is NotFound', async () => {
  const storage = createArtifactStorage()
  await assert.rejects(storage.retrieve('nothing'), error => {
    failsWith('NotFound', 'nothing')(error)
    assert.equal(error.key, 'nothing')
    return true
  })
  await storage.close()
})

test('keys that are none are refused', async () => {
  const storage = createArtifactStorage()
  for (const key of ['', '../up', '/abs', 'a//b', 'a\\b', 'nul\0', 'C:x', '-rf', './a', 'x'.repeat(1025)]) {
    await assert.rejects(storage.store(key, Buffer.from('x')), failsWith('InvalidKey'))
    await assert.rejects(storage.delete(key), failsWith('InvalidKey'))
    await assert.rejects(storage.stat(key), failsWith('InvalidKey'))
  }
  assert.deepEqual(await storage.list(), [])
  await storage.close()
})

test('garbage is refused, by a promise', async () => {
  const storage = createArtifactStorage()
  for (const garbage of [undefined, null, 1, {}, [], Symbol('s')]) {
    await assert.rejects(storage.store(garbage, Buffer.from('x')), failsWith('InvalidArgument', 'key'))
    await assert.rejects(storage.store('k', garbage), failsWith('InvalidArgument', 'expected a Uint8Array'))
    await assert.rejects(storage.retrieve(garbage), failsWith('InvalidArgument', 'key'))
    await assert.rejects(storage.delete(garbage), failsWith('InvalidArgument', 'key'))
    await assert.rejects(storage.stat(garbage), failsWith('InvalidArgument', 'key'))
  }
  await assert.rejects(storage.store('k', 'text'), failsWith('InvalidArgument', '"text"'))
  await assert.rejects(storage.list(5), failsWith('InvalidArgument', 'prefix'))
  await storage.close()
})

test('a folder that is given keeps what is in it', async t => {
  const path = join(folder(t), 'made')
  const first = createArtifactStorage({ path })
  await first.store('kept', Buffer.from('before'))
  await first.close()
  assert.ok(existsSync(path))
  const second = createArtifactStorage({ path })
  assert.equal((await second.retrieve('kept')).toString(), 'before')
  await second.close()
})

test('without a path it goes when it is closed', async t => {
  const place = folder(t)
  const before = process.env.TMPDIR
  process.env.TMPDIR = place
  let storage
  try {
    storage = createArtifactStorage()
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
  await storage.store('k', Buffer.from('x'))
  assert.equal(readdirSync(place).length, 1)
  await storage.close()
  assert.deepEqual(readdirSync(place), [])
  await storage.close()
})

test('a closed storage says so', async () => {
  const storage = createArtifactStorage()
  await storage.close()
  await assert.rejects(storage.store('k', Buffer.from('x')), failsWith('Closed'))
  await assert.rejects(storage.retrieve('k'), failsWith('Closed'))
  await assert.rejects(storage.list(), failsWith('Closed'))
})

test('a path that can\'t be used and a configuration that is none are refused', t => {
  const file = join(folder(t), 'file')
  writeFileSync(file, 'x')
  assert.throws(() => createArtifactStorage({ path: file }), error => ['Io', 'Damaged'].includes(error.code))
  assert.throws(() => createArtifactStorage({ path: 5 }), failsWith('InvalidConfig', 'expected a string'))
  assert.throws(() => createArtifactStorage({ folder: 'x' }), failsWith('InvalidConfig', 'folder'))
  assert.throws(() => createArtifactStorage('x'), failsWith('InvalidConfig', 'config is "x"'))
})
