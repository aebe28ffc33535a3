'use strict'
// Finds the binary of this platform. CommonJS, so that a test runner loads it wherever it loads a test, and with literal
// names, so that a bundler sees what the package needs.
const { existsSync, readFileSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

function isMusl() {
  // Deno is built for glibc only, and would ask its user for a right.
  if (process.platform !== 'linux' || process.versions.deno) return false
  try {
    // The loader of musl is its C library, and lies in each of its processes. A report would take milliseconds.
    return /\/(ld-musl-[^/]*|libc\.so)$/m.test(readFileSync('/proc/self/maps', 'latin1'))
  } catch {
    // Under `--permission`, perhaps.
    return !process.report.getReport().header.glibcVersionRuntime
  }
}

/** This platform, as the package of its binary is named: `linux-x64-gnu`. */
exports.platform = () => {
  const name = `${process.platform}-${process.arch}`
  return process.platform === 'linux' ? `${name}-${isMusl() ? 'musl' : 'gnu'}` : name
}

/** Loads it: `{ native }`, or the `{ cause }` of not doing so. */
exports.load = () => {
  const here = exports.platform()
  // Inside `try`, a bundler takes the package that is not installed here for optional.
  try {
    // In a checkout it lies beside this file; no bundler is to look for it there.
    const built = join(__dirname, `vmexit.${here}.node`)
    if (existsSync(built)) return { native: createRequire(built)(built) }
    const native =
      here === 'linux-x64-musl' ? require('vmexit-linux-x64-musl') : require('vmexit-linux-x64-gnu')
    if (typeof native?.NativeMachine === 'function') return { native }
    // Its path, its bytes or nothing, as a bundler that is told how to take in any file puts there.
    const cause = new Error(`a bundler has put ${typeof native} in its place`)
    return { cause: Object.assign(cause, { code: 'ERR_BUNDLED' }) }
  } catch (cause) {
    return { cause }
  }
}
