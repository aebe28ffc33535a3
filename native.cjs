'use strict'
// Finds the binary of this platform. CommonJS, so that a test runner loads it wherever it loads a test, and with literal
// names, so that a bundler sees what the package needs.
const { existsSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

function isMusl() {
  // Deno is built for glibc only, and asks its user for a right before it reports.
  if (process.platform !== 'linux' || process.versions.deno) return false
  const { report } = process
  const { excludeNetwork } = report
  // With the network it would look up the name of every peer.
  report.excludeNetwork = true
  try {
    return !report.getReport().header.glibcVersionRuntime
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}

/** This platform, as the package of its binary is named: `linux-x64-gnu`. */
exports.platform = () => {
  const name = `${process.platform}-${process.arch}`
  return process.platform === 'linux' ? `${name}-${isMusl() ? 'musl' : 'gnu'}` : name
}

/** Loads it, or throws what the runtime says. */
exports.load = () => {
  const here = exports.platform()
  // In a checkout it lies beside this file; no bundler is to look for it there.
  const built = join(__dirname, `vmexit.${here}.node`)
  if (existsSync(built)) return createRequire(built)(built)
  if (here === 'linux-x64-musl') return require('vmexit-linux-x64-musl')
  return require('vmexit-linux-x64-gnu')
}
