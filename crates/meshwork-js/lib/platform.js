'use strict'
// The platform, as the packages with compiled parts are called: `linux-x64-gnu`.

function platform() {
  const { platform, arch } = process
  if (platform !== 'linux') return `${platform}-${arch}`
  const musl = process.report.getReport().header.glibcVersionRuntime === undefined
  return `${platform}-${arch}-${musl ? 'musl' : 'gnu'}`
}

module.exports = { platform }
