// Brings a clone to the point where it runs: tools, packages, native addon, TypeScript. Only Node's built-ins, as
// node_modules may be missing.
import { existsSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { capture, root } from './run.mjs'
import { dropStamp, hashInputs, isCurrent, writeStamp } from './setup/stamps.mjs'
import { steps } from './setup/steps.mjs'
import { kvmProblem, missingTools } from './setup/tools.mjs'

const OTHER_KVM = 'without one, `npm run test:svm` tests on an emulated KVM'

// On stderr, so that stdout stays with the command that follows.
const say = (line) => process.stderr.write(`${line}\n`)

function toolsPresent(needsKvm) {
  const missing = missingTools()
  for (const line of missing) say(`error: ${line}`)
  if (!needsKvm) return missing.length === 0
  const kvm = kvmProblem()
  const required = process.env.VMEXIT_REQUIRE_KVM === '1'
  if (kvm !== undefined) say(`${required ? 'error' : 'warning'}: ${kvm}; ${OTHER_KVM}`)
  return missing.length === 0 && (kvm === undefined || !required)
}

function runStep({ name, title, command, inputs, extra, outputs, generated = [] }) {
  // Once, before the step: a file edited meanwhile is built next time.
  const before = hashInputs(inputs, extra?.())
  const stamp = () => `${before} ${hashInputs(generated)}`
  if (isCurrent(name, stamp(), outputs)) return true
  say(`set-up: ${title}…`)
  dropStamp(name)
  const { ok, output } = capture(command)
  if (!ok) {
    say(output.trimEnd())
    say(`error: ${title} failed: ${command.join(' ')}`)
    return false
  }
  writeStamp(name, stamp())
  return true
}

/** npx finds the package's own command at once through this link; without it, npx asks and installs a copy. */
function linkCommand() {
  const link = join(root, 'node_modules', '.bin', 'vmexit')
  if (existsSync(link)) return
  rmSync(link, { force: true })
  symlinkSync('../../dist/cli/main.js', link)
}

/** Does what is missing and returns true, or says why it cannot and returns false. */
export function setup({ needsKvm = true } = {}) {
  if (!toolsPresent(needsKvm)) return false
  if (!steps.every(runStep)) return false
  linkCommand()
  return true
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // `npm run test:svm` has a KVM of its own.
  const needsKvm = !process.argv.includes('--without-kvm')
  process.exitCode = setup({ needsKvm }) ? 0 : 1
}
