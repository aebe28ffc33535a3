// npm run test:package: publishes what a release would to a registry on the loopback device, and uses it from there as a
// user does, on every Node.js version that we support. With --whole, test
// runners on every one of them too, and all of the suite on musl.
import { sumLine } from '../run.mjs'
import { setup } from '../setup.mjs'
import { buildAddons } from './addon.mjs'
import { nodes, tools } from './downloads.mjs'
import { publish } from './publish.mjs'
import { openRegistry } from './registry.mjs'
import { stage } from './stage.mjs'
import { Skip } from './test/cases.mjs'
import { binaryCases } from './test/binary.mjs'
import { bundlerCases } from './test/bundlers.mjs'
import { bufferCases } from './test/buffer.mjs'
import { contentCases } from './test/contents.mjs'
import { contextCases } from './test/context.mjs'
import { importCases } from './test/import.mjs'
import { installCases } from './test/install.mjs'
import { muslCases } from './test/musl.mjs'
import { runnerCases } from './test/runners.mjs'
import { runtimeCases } from './test/runtimes.mjs'
import { typeCases } from './test/types.mjs'
import { unsupportedCases } from './test/unsupported.mjs'

const say = (line) => process.stderr.write(`package: ${line}\n`)

/** What the cases share, beside the users that they add: one for each Node.js version. */
async function prepare(registry) {
  buildAddons(say)
  const packages = stage()
  await publish(packages, registry.options, say)
  const isWhole = process.argv.includes('--whole')
  return { packages, registry, nodes: nodes(say), tools: tools(say), isWhole, say }
}

/** Words on the command line are parts of titles; what installs is needed by the others. */
function isWanted([title]) {
  const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
  const parts = words.length > 0 ? [...words, 'npm install vmexit'] : ['']
  return parts.some((part) => title.includes(part))
}

/** Runs one case, says how it ended, and returns what it counts as. */
async function runCase(title, body) {
  const start = performance.now()
  const time = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
  try {
    const remark = await body()
    console.log(`ok     ${title}${remark ? `: ${remark}` : ''} (${time()})`)
    return 'passed'
  } catch (error) {
    const skipped = error instanceof Skip
    console.log(skipped ? `skipped: ${title}: ${error.message}` : `FAILED ${title} (${time()})`)
    if (!skipped) console.log(error.stack)
    return skipped ? 'skipped' : 'failed'
  }
}

// In this order: what is published, who installs it, what they do with it.
const all = [
  ...[contentCases, binaryCases, installCases, bufferCases, contextCases, importCases, typeCases],
  ...[unsupportedCases, runtimeCases, runnerCases, bundlerCases, muslCases],
]

async function test() {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  try {
    if (!setup()) throw new Error('set-up failed')
    const context = { ...(await prepare(await openRegistry())), users: [] }
    for (const cases of all) {
      for (const [title, body] of Object.entries(cases(context)).filter(isWanted)) {
        counts[await runCase(title, body)] += 1
      }
    }
  } catch (error) {
    console.log(error.stack)
    counts.failed += 1
  }
  return counts
}

const counts = await test()
console.log(sumLine(counts))
process.exitCode = counts.failed === 0 ? 0 : 1
