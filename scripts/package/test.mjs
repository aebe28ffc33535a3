// npm run test:package: publishes what a release would to a registry on the loopback device, and uses it from there as a
// user does, on every Node.js version that we support. With --whole, test
// runners on every one of them too, and all of the suite on musl.
import { runCases } from '../cases.mjs'
import { mustSetUp } from '../setup.mjs'
import { buildAddons } from './addon.mjs'
import { addDependencies } from './dependencies.mjs'
import { nodes, tools } from './downloads.mjs'
import { publish } from './publish.mjs'
import { openRegistry } from './registry.mjs'
import { stage } from './stage.mjs'
import { binaryCases } from './test/binary.mjs'
import { bundlerCases } from './test/bundlers.mjs'
import { bufferCases } from './test/buffer.mjs'
import { contentCases } from './test/contents.mjs'
import { contextCases } from './test/context.mjs'
import { cookbookCases } from './test/learning/cookbook.mjs'
import { guideCases } from './test/learning/guide.mjs'
import { importCases } from './test/import.mjs'
import { installCases } from './test/install.mjs'
import { fleetCases } from './test/fleet.mjs'
import { managerCases } from './test/manager.mjs'
import { muslCases } from './test/musl.mjs'
import { runnerCases } from './test/runners.mjs'
import { runtimeCases } from './test/runtimes.mjs'
import { templateCases } from './test/learning/templates.mjs'
import { typeCases } from './test/types.mjs'
import { unsupportedCases } from './test/unsupported.mjs'

const say = (line) => process.stderr.write(`package: ${line}\n`)

/** What the cases share; each Node.js version's user comes with its installation. */
const context = { users: [], isWhole: process.argv.includes('--whole'), say }

async function prepare() {
  mustSetUp()
  buildAddons(say)
  const [packages, registry] = [await stage(), await openRegistry()]
  addDependencies(registry, say)
  await publish(packages, registry.options, say)
  Object.assign(context, { packages, registry, nodes: nodes(say), tools: tools(say) })
}

/** Words on the command line are parts of titles; what installs is needed by the others. */
function isWanted([title]) {
  const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
  const parts = words.length > 0 ? [...words, 'npm install vmexit'] : ['']
  return parts.some((part) => title.includes(part))
}

// In this order: what is published, who installs it, what they do with it.
const all = [
  ...[contentCases, binaryCases, installCases, bufferCases, contextCases, importCases, typeCases],
  templateCases,
  fleetCases,
  managerCases,
  ...[unsupportedCases, runtimeCases, runnerCases, bundlerCases, guideCases, cookbookCases],
  muslCases,
]

async function* cases() {
  yield ['a release is packed and published here', prepare]
  if (!context.tools) return
  for (const make of all) yield* Object.entries(make(context)).filter(isWanted)
}

await runCases(cases())
