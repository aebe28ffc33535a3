// npm run coverage: both suites once more, instrumented, and the share of lines that they reach. Tests that fail here
// are counted and change nothing: `npm test` is their judge.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { avaCommand, avaReport } from './report/ava.mjs'
import { root, streamLines } from './run.mjs'
import { setup } from './setup.mjs'
import { instrument } from './coverage/rust.mjs'
import { stageTree, typescriptLines } from './coverage/typescript.mjs'

const cache = join(root, '.cache', 'coverage')
const tree = join(cache, 'tree')
const profiles = join(cache, 'v8')

/** The whole suite of specs, its processes included. */
async function runSpecs(env) {
  const { line, end } = avaReport()
  // The core's: the manager's specs run what is built.
  const specs = '__test__/**/*.spec.ts'
  const ava = ['timeout', '--kill-after=30s', '10m', ...avaCommand, specs]
  const code = await streamLines(['env', '-C', tree, ...ava], line, { ...process.env, ...env })
  const { passed, failed } = end(code)
  console.log(`specs under coverage: ${passed} passed, ${failed} did not`)
}

/** What `measure` returns, or an object that says why there is nothing. */
function attempt(measure) {
  try {
    return measure()
  } catch (error) {
    return { missing: error.message.trim() }
  }
}

function tell(language, lines) {
  const { missing } = lines
  console.log(
    `coverage, ${language}: ${missing ? `not measured: ${missing}` : `${lines.toFixed(1)} % of lines`}`,
  )
}

async function main() {
  const rust = attempt(() => instrument(cache))
  rust.test?.()
  stageTree(tree, rust.addon ?? join(root, 'vmexit.linux-x64-gnu.node'))
  await runSpecs({ NODE_V8_COVERAGE: profiles, ...rust.counts })
  tell(
    'TypeScript',
    attempt(() => typescriptLines(tree, profiles, cache)),
  )
  tell('Rust', rust.missing ? rust : attempt(rust.lines))
}

rmSync(profiles, { recursive: true, force: true })
mkdirSync(profiles, { recursive: true })
if (setup()) await main()
else process.exitCode = 1
