'use strict'
// What a program in Node.js gets: `npm run build && npm run bench [-- --runs N] [-- --messages N]`. Prints a table of
// the runs; never fails on a time. What each figure is in Rust: docs/benchmarks.md.

const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { parseArgs } = require('node:util')
const meshwork = require('..')

const { values } = parseArgs({ options: { runs: { type: 'string', default: '50' }, messages: { type: 'string', default: '100000' } } })
const RUNS = Number(values.runs)
const MESSAGES = Number(values.messages)
if (!(RUNS >= 1 && MESSAGES >= 1000)) throw new Error('expected --runs of at least 1 and --messages of at least 1000')

const folder = mkdtempSync(join(tmpdir(), 'meshwork-bench-'))
const rows = []

function told(figure, times, note = '') {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))].toFixed(3)
  rows.push({ figure, 'p50 ms': at(0.5), 'p95 ms': at(0.95), 'max ms': at(1), note })
}

async function timed(work) {
  const start = performance.now()
  await work()
  return performance.now() - start
}

function dependencies(agent) {
  return {
    messageBus: meshwork.createMessageBroker(),
    queryController: meshwork.createQueryController({ agents: [{ capabilities: ['x'], agent }] }),
    artifactStorage: meshwork.createArtifactStorage({ path: join(folder, 'artifacts') }),
    swarmMemory: meshwork.createSwarmMemory(),
    logger: meshwork.createLogger({ level: 'error' }),
  }
}

function task(id) {
  return { id, type: 'bench', description: '', requiredCapabilities: ['x'], priority: 5, dependencies: [], state: 'pending', createdAt: 0 }
}

async function spawn() {
  const times = []
  for (let run = 0; run < RUNS; run += 1) {
    const deps = dependencies(() => null)
    const coordinator = meshwork.createMeshCoordinator({ swarmId: `bench-${run}`, peerCount: 10 }, deps)
    times.push(await timed(() => coordinator.initialize()))
    await coordinator.cleanup()
  }
  told('10 peers from nothing to idle', times)
}

async function resume() {
  const coordinator = meshwork.createMeshCoordinator({ swarmId: 'resume', peerCount: 1 }, dependencies(() => null))
  await coordinator.initialize()
  const [peer] = coordinator.getActivePeers().map(({ id }) => id)
  const times = []
  for (let run = 0; run < RUNS; run += 1) {
    await coordinator.pauseAgent(peer)
    await coordinator.submitTask(task(`t${run}`))
    times.push(
      await timed(async () => {
        await coordinator.resumeAgent(peer)
        await coordinator.awaitTask(`t${run}`)
      }),
    )
  }
  await coordinator.cleanup()
  told('resume → a waiting task is done', times)
}

async function discovery() {
  const times = []
  for (let run = 0; run < RUNS; run += 1) {
    const messageBus = meshwork.createMessageBroker()
    const artifactStorage = meshwork.createArtifactStorage({ path: join(folder, `discovery-${run}`) })
    const sides = ['a', 'b'].map(() =>
      meshwork.createPeerDiscoverySystem({ swarmId: 'bench', enableArtifactSharing: false }, { messageBus, artifactStorage }),
    )
    for (let n = 0; n < 10; n += 1) await sides[n % 2].updatePeerCapabilities(`peer-${n}`, ['x'])
    times.push(
      await timed(async () => {
        await Promise.all(sides.map((side) => side.startDiscovery('bench')))
        await Promise.all(sides.map((side) => side.awaitPeers(10, 30_000)))
      }),
    )
    await Promise.all(sides.map((side) => side.stopDiscovery()))
  }
  told('10 peers in two discoveries know everyone', times)
}

async function artifacts() {
  const storage = meshwork.createArtifactStorage({ path: join(folder, 'stored') })
  const times = []
  for (let run = 0; run < RUNS; run += 1) {
    const bytes = Buffer.alloc(64 * 1024, run)
    times.push(
      await timed(async () => {
        await storage.store(`a/${run}`, bytes)
        await storage.retrieve(`a/${run}`)
      }),
    )
  }
  told('64 KiB artifact stored durably and read', times)
}

async function memory() {
  const memory = meshwork.createSwarmMemory({ path: join(folder, 'memory.db') })
  const [remember, recall] = [[], []]
  for (let run = 0; run < RUNS * 10; run += 1) {
    const metadata = { tags: [`t${run % 10}`] }
    remember.push(await timed(() => memory.remember('agent', 'knowledge', { run, text: `note ${run}` }, metadata)))
  }
  for (let run = 0; run < RUNS; run += 1) {
    recall.push(await timed(() => memory.recall({ tags: [`t${run % 10}`], limit: 50 })))
  }
  told('remember, durable', remember)
  told('recall of 50 by a tag', recall, `over ${RUNS * 10} entries`)
}

async function messages() {
  const broker = meshwork.createMessageBroker()
  const text = 'x'.repeat(200)
  let handled = 0
  let all
  const done = new Promise((resolve) => (all = resolve))
  for (let n = 0; n < 10; n += 1) {
    broker.onPeerMessage(`peer-${n}`, () => {
      handled += 1
      if (handled === MESSAGES) all()
    })
  }
  const took = await timed(async () => {
    let window = []
    for (let n = 0; n < MESSAGES; n += 1) {
      const message = { type: 'm', payload: { n, text }, timestamp: 0 }
      window.push(broker.sendToPeer(`peer-${n % 10}`, `peer-${(n + 1) % 10}`, message))
      if (window.length === 1000) {
        await Promise.all(window)
        window = []
      }
    }
    await Promise.all(window)
    await done
  })
  const rate = `${Math.round(MESSAGES / (took / 1000))} a second`
  rows.push({ figure: `${MESSAGES} messages among 10 peers, handled in JavaScript`, 'p50 ms': '', 'p95 ms': '', 'max ms': took.toFixed(0), note: rate })
}

async function main() {
  for (const part of [spawn, resume, discovery, artifacts, memory, messages]) await part()
  console.table(rows)
  console.log(`node ${process.version}, meshwork ${require('../package.json').version}, ${RUNS} runs each`)
}

main().finally(() => rmSync(folder, { recursive: true, force: true }))
