'use strict'
// The dependencies argument: the package's own objects go as they are, others through an adapter.

const foreigners = require('./foreign.js')
const { nativeBroker } = require('./broker.js')
const { nativeArtifacts } = require('./artifacts.js')
const { nativeMemory } = require('./memory.js')
const { nativeController } = require('./controller.js')
const { MeshworkError } = require('./errors.js')
const check = require('./check.js')

/** The dependencies, with what the configuration names too. Given twice, it has to be the same object. */
function dependencies(given, config) {
  const all = check.object(given, 'dependencies', 'InvalidDependency')
  for (const name of ['messageBus', 'artifactStorage']) {
    const other = config?.[name]
    if (other !== undefined && other !== all[name]) {
      throw new MeshworkError('InvalidConfig', `config.${name} is another object than dependencies.${name}; nothing was made`)
    }
  }
  return all
}

/**
 * What other parts take, as `any`; `foreign` is there where the object is not ours, and has to be held by whoever uses it.
 */
function taken(object, nativeOf, adapt) {
  const ours = nativeOf(object)
  if (ours !== undefined) return { any: ours.any(), foreign: undefined }
  const foreign = adapt(object)
  return { any: foreign.any(), foreign }
}

const messageBus = given => taken(given.messageBus, nativeBroker, foreigners.foreignBroker)
const artifactStorage = given => taken(given.artifactStorage, nativeArtifacts, foreigners.foreignArtifacts)
const swarmMemory = given => taken(given.swarmMemory, nativeMemory, foreigners.foreignMemory)

const queryController = given => taken(given.queryController, nativeController, foreigners.foreignController)

/** A logger is called as it is. */
function logger(given) {
  foreigners.judged(given.logger, 'logger', ['debug', 'info', 'warn', 'error'])
  return given.logger
}

module.exports = { dependencies, messageBus, artifactStorage, swarmMemory, queryController, logger }
