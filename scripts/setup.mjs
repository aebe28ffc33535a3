// Brings a clone to the point where it runs: tools, packages, native addon, TypeScript. Only Node's built-ins, as
// node_modules may be missing.
import { existsSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure, root } from './run.mjs'
import { runSteps } from './setup/steps.mjs'
import { kvmProblem, missingTools } from './setup/tools.mjs'

const OTHER_KVM = 'without one, `npm run test:svm` tests on an emulated KVM'

// On stderr, so that stdout stays with the command that follows.
const say = (line) => process.stderr.write(`${line}\n`)

function toolsPresent(needsKvm) {
  const missing = missingTools()
  for (const line of missing) say(`error: ${line}`)
  const kvm = needsKvm ? kvmProblem() : undefined
  const required = process.env.VMEXIT_REQUIRE_KVM === '1'
  if (kvm !== undefined) say(`${required ? 'error' : 'warning'}: ${kvm}; ${OTHER_KVM}`)
  return missing.length === 0 && (kvm === undefined || !required)
}

/** Does what is missing and returns true, or says why it cannot and returns false. */
export function setup({ needsKvm = true } = {}) {
  if (!toolsPresent(needsKvm) || !runSteps(say)) return false
  // npx finds the package's own command at once through this link; without it, npx asks and installs a copy.
  const link = join(root, 'node_modules', '.bin', 'vmexit')
  if (existsSync(link)) return true
  rmSync(link, { force: true })
  symlinkSync('../../dist/cli/main.js', link)
  return true
}

/** As `setup`, and throws where it cannot. */
export function mustSetUp() {
  if (!setup()) throw new Failure('set-up failed')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // `npm run test:svm` has a KVM of its own.
  const needsKvm = !process.argv.includes('--without-kvm')
  process.exitCode = setup({ needsKvm }) ? 0 : 1
}
