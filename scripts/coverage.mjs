// npm run coverage: both suites once more, instrumented, and the share of lines that they reach. Tests that fail here
// are counted and change nothing: `npm test` is their judge.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { avaReport } from './report/ava.mjs'
import { root, streamLines } from './run.mjs'
import { setup } from './setup.mjs'
import { buildAddon, findTools, rustLines, testRust } from './coverage/rust.mjs'
import { stageTree, typescriptLines } from './coverage/typescript.mjs'

const cache = join(root, '.cache', 'coverage')
const tree = join(cache, 'tree')
const profiles = { rust: join(cache, 'rust'), typescript: join(cache, 'v8') }

/** The whole suite of specs, its processes included. */
async function runSpecs(env) {
  const { line, end } = avaReport()
  const ava = ['timeout', '--kill-after=30s', '10m', 'node_modules/.bin/ava']
  const code = await streamLines(['env', '-C', tree, ...ava], line, { ...process.env, ...env })
  const { passed, failed } = end(code)
  console.log(`specs under coverage: ${passed} passed, ${failed} did not`)
}

async function measure() {
  const { tools, missing } = findTools()
  const built = tools ? buildAddon(cache, profiles.rust) : { missing }
  const programs = built.addon ? testRust(cache, profiles.rust) : []
  stageTree(tree, built.addon ?? join(root, 'vmexit.linux-x64-gnu.node'))
  await runSpecs({ NODE_V8_COVERAGE: profiles.typescript, ...built.env })
  return {
    TypeScript: typescriptLines(tree, profiles.typescript, cache),
    Rust: built.addon
      ? rustLines(cache, profiles.rust, tools, programs)
      : `not measured: ${built.missing}`,
  }
}

async function main() {
  if (!setup()) return 1
  for (const folder of Object.values(profiles)) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
  }
  for (const [language, share] of Object.entries(await measure())) {
    console.log(`coverage, ${language}: ${share}`)
  }
  return 0
}

process.exitCode = await main()
