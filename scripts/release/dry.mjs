// A release in a clone of this commit, from the version to `npm install`, that reaches no registry but its own.
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { must, root, run } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'
import { openRegistry } from '../package/registry.mjs'
import { cache } from '../package/targets.mjs'
import { oldLinker, toolchainFolder } from '../package/downloads.mjs'
import { newUser } from '../package/user.mjs'
import { kvmProblem } from '../setup/tools.mjs'

/** The version that it releases: one that will never be. */
const VERSION = '0.0.0-dry.1'

const AUTHOR = ['-c', 'user.name=dry', '-c', 'user.email=dry@localhost']

/** With the downloaded toolchain, and nothing else that this tree has beside its commit. */
function cloneHere(say) {
  oldLinker(say)
  const clone = join(temporaryDirectory(), 'vmexit')
  must(['git', 'clone', '--quiet', root, clone])
  const clonedCache = join(clone, '.cache', 'package')
  mkdirSync(clonedCache, { recursive: true })
  symlinkSync(join(cache, toolchainFolder), join(clonedCache, toolchainFolder))
  return clone
}

/** What docs/release.md lists, in its order. */
async function release(clone, registry, say) {
  const inClone = (...words) => run(words, { cwd: clone })
  const step = (name, ...args) => {
    say(`npm run release:${name}`)
    return inClone('npm', 'run', '--silent', `release:${name}`, '--', ...args)
  }
  await step('version', VERSION)
  await step('changelog')
  await inClone('git', ...AUTHOR, 'commit', '--quiet', '--all', '--message', VERSION)
  await step('pack')
  await step('publish', ...registry.options)
}

async function use(registry, say) {
  const user = newUser({ node: process.execPath, registry: registry.url })
  say('npm install vmexit@next')
  await user.run(['npm', 'install', 'vmexit@next'])
  const version = (await user.run(['npx', 'vmexit', '--version'])).trim()
  if (version !== VERSION) throw new Error(`installed ${version} in place of ${VERSION}`)
  const problem = kvmProblem()
  say(problem ? `no machine is run: ${problem}` : await user.run(['npx', 'vmexit', 'hello']))
}

/** Throws if a step fails. */
export async function rehearse(say) {
  const clone = cloneHere(say)
  const registry = await openRegistry()
  await release(clone, registry, say)
  await use(registry, say)
  say('a release would go through; nothing was published')
}
