'use strict'
// A coordinator with dependencies, for tests: the package's own where none are given. Ended with its test.

const meshwork = require('meshwork')
const { DEADLINE } = require('./support.js')

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

const task = (id, more) => ({
  id,
  type: 'test',
  description: `do ${id}`,
  requiredCapabilities: [],
  priority: 5,
  dependencies: [],
  state: 'pending',
  createdAt: 1_700_000_000_000,
  ...more,
})

/** Dependencies of the package, but for those that are given. */
function dependencies(given = {}, agents = []) {
  return {
    messageBus: given.messageBus ?? meshwork.createMessageBroker(),
    queryController: given.queryController ?? meshwork.createQueryController({ agents }),
    artifactStorage: given.artifactStorage ?? meshwork.createArtifactStorage(),
    swarmMemory: given.swarmMemory ?? meshwork.createSwarmMemory(),
    logger: given.logger ?? SILENT,
  }
}

/** A coordinator whose peers all are `agent`. */
async function started(t, agent, config = {}, given = {}) {
  const deps = dependencies(given)
  const agents = config.agents ?? [{ capabilities: config.capabilities ?? [], agent }]
  const { capabilities: _capabilities, ...settings } = config
  const coordinator = meshwork.createMeshCoordinator({ peerCount: 1, ...settings, agents }, deps)
  t.after(() => coordinator.cleanup())
  await coordinator.initialize()
  return Object.assign(coordinator, { deps })
}

/** As `until` of support.js, for what has to be asked and waited for too. */
async function until(isSo) {
  const end = Date.now() + DEADLINE
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`it never came to be: ${isSo}`)
    await new Promise(setImmediate)
  }
}

module.exports = { meshwork, SILENT, task, dependencies, started, until }
