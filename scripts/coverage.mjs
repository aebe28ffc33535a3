// npm run coverage: both suites once more, instrumented, and the share of lines that they reach. Tests that fail here
// are counted and change nothing: `npm test` is their judge.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { avaCommand, avaReport } from './report/ava.mjs'
import { root, streamLines } from './run.mjs'
import { setup } from './setup.mjs'
import { buildAddon, instrument, rustLines, testRust } from './coverage/rust.mjs'
import { stageTree, typescriptLines } from './coverage/typescript.mjs'

const cache = join(root, '.cache', 'coverage')
const tree = join(cache, 'tree')
const profiles = join(cache, 'v8')

/** The whole suite of specs, its processes included. */
async function runSpecs(env) {
  const { line, end } = avaReport()
  const ava = ['timeout', '--kill-after=30s', '10m', ...avaCommand]
  const code = await streamLines(['env', '-C', tree, ...ava], line, { ...process.env, ...env })
  const { passed, failed } = end(code)
  console.log(`specs under coverage: ${passed} passed, ${failed} did not`)
}

async function measure() {
  const { tool, env, missing } = instrument(cache)
  const addon = env && buildAddon(cache, env)
  if (addon) testRust(env)
  stageTree(tree, addon ?? join(root, 'vmexit.linux-x64-gnu.node'))
  const counts = addon ? { LLVM_PROFILE_FILE: env.LLVM_PROFILE_FILE } : {}
  await runSpecs({ NODE_V8_COVERAGE: profiles, ...counts })
  return {
    TypeScript: typescriptLines(tree, profiles, cache),
    Rust: addon ? rustLines(tool, env) : `not measured: ${missing ?? 'the addon was not built'}`,
  }
}

async function main() {
  if (!setup()) return 1
  rmSync(profiles, { recursive: true, force: true })
  mkdirSync(profiles, { recursive: true })
  for (const [language, share] of Object.entries(await measure())) {
    console.log(`coverage, ${language}: ${share}`)
  }
  return 0
}

process.exitCode = await main()
