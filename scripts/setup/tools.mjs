// What the machine must have, each said in one line with what to do.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'

const read = (file) => readFileSync(join(root, file), 'utf8')

/** Whether `version` is `least` or newer. */
const isFrom = (version, least) => version.localeCompare(least, 'en', { numeric: true }) >= 0

/** As much of a range as engines needs: `^a.b.c` and `>=a.b.c`, joined by `||`. */
const satisfies = (version, range) =>
  range.split('||').some((part) => {
    const [least, major] = part.match(/(\d+)\.[\d.]+/)
    return isFrom(version, least) && (part.includes('>=') || version.startsWith(`${major}.`))
  })

function versionOf(command) {
  const { status, stdout } = spawnSync(command, ['--version'], { cwd: root, encoding: 'utf8' })
  return status === 0 ? stdout.split('\n')[0] : undefined
}

function nodeProblem() {
  const { engines } = JSON.parse(read('package.json'))
  const { node } = process.versions
  if (satisfies(node, engines.node)) return []
  return [`node ${node} is too old: install ${engines.node} from https://nodejs.org`]
}

function rustProblem() {
  const wanted = read('Cargo.toml').match(/^rust-version = "(.*)"/m)?.[1] ?? '1.0'
  const remedy = `install Rust ${wanted} or newer from https://rustup.rs`
  const found = versionOf('cargo')
  if (found === undefined) return [`cargo not found: ${remedy}`]
  return isFrom(found, `cargo ${wanted}`) ? [] : [`${found} is too old: ${remedy}`]
}

const PACKAGES = {
  cc: 'install a C compiler (Debian and Ubuntu: apt-get install gcc)',
  ld: 'install the linker (Debian and Ubuntu: apt-get install binutils)',
  objcopy: 'install the binary utilities (Debian and Ubuntu: apt-get install binutils)',
  make: 'install GNU make (Debian and Ubuntu: apt-get install make)',
}

function packageProblems() {
  return Object.entries(PACKAGES)
    .filter(([command]) => versionOf(command) === undefined)
    .map(([command, remedy]) => `${command} not found: ${remedy}`)
}

/** One line per missing tool; empty if the project can be built here. */
export function missingTools() {
  return [...nodeProblem(), ...rustProblem(), ...packageProblems()]
}

const KVM_REMEDIES = {
  ENOENT:
    'load the module kvm_intel or kvm_amd and enable virtualization in the firmware or the outer VM',
  ENODEV:
    'load the module kvm_intel or kvm_amd and enable virtualization in the firmware or the outer VM',
  EACCES:
    'permission denied; add the user to group kvm (sudo usermod -aG kvm "$USER") and log in again',
  EPERM: 'not permitted; allow the device in this container (docker run --device /dev/kvm)',
}

/** What is wrong with `/dev/kvm` and what to do, in one line; undefined if it opens. */
export function kvmProblem(device = '/dev/kvm') {
  try {
    closeSync(openSync(device, 'r+'))
    return undefined
  } catch (error) {
    const remedy = KVM_REMEDIES[error.code] ?? 'check the device'
    return `${device} cannot be used (${error.code}): ${remedy}`
  }
}
