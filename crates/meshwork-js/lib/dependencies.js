'use strict'
// The dependencies argument: the package's own objects go as they are, others through an adapter.

const { foreignBroker, foreignArtifacts } = require('./foreign.js')
const { nativeBroker } = require('./broker.js')
const { nativeArtifacts } = require('./artifacts.js')
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

/** `any` is what other parts take; `foreign` is there for a broker that is not ours, and has to be held. */
function messageBus(given) {
  const ours = nativeBroker(given.messageBus)
  if (ours !== undefined) return { any: ours.any(), foreign: undefined }
  const foreign = foreignBroker(given.messageBus)
  return { any: foreign.any(), foreign }
}

function artifactStorage(given) {
  const ours = nativeArtifacts(given.artifactStorage)
  if (ours !== undefined) return { any: ours.any(), foreign: undefined }
  const foreign = foreignArtifacts(given.artifactStorage)
  return { any: foreign.any(), foreign }
}

module.exports = { dependencies, messageBus, artifactStorage }
