// What the machine must have, each said in one line with what to do. cargo itself says which Rust it takes.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'

const TOOLS = {
  cargo: 'install Rust from https://rustup.rs',
  cc: 'install a C compiler (Debian and Ubuntu: apt-get install gcc)',
  ld: 'install the linker (Debian and Ubuntu: apt-get install binutils)',
  objcopy: 'install the binary utilities (Debian and Ubuntu: apt-get install binutils)',
  make: 'install GNU make (Debian and Ubuntu: apt-get install make)',
}

/** As much of a range as engines needs: `^a.b.c` and `>=a.b.c`, joined by `||`. */
const isWithin = (version, range) =>
  range.split('||').some((part) => {
    const [least, major] = part.match(/(\d+)\.[\d.]+/)
    const isNew = version.localeCompare(least, 'en', { numeric: true }) >= 0
    return isNew && (part.includes('>=') || version.startsWith(`${major}.`))
  })

/** One line per missing tool; empty if the project can be built here. */
export function missingTools() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { node } = process.versions
  const tooOld = `node ${node} is too old: install ${engines.node} from https://nodejs.org`
  const missing = Object.entries(TOOLS)
    .filter(([command]) => spawnSync(command, ['--version']).status !== 0)
    .map(([command, remedy]) => `${command} not found: ${remedy}`)
  return isWithin(node, engines.node) ? missing : [tooOld, ...missing]
}

const NO_MODULE =
  'load the module kvm_intel or kvm_amd and enable virtualization in the firmware or the outer VM'

const KVM_REMEDIES = {
  ENOENT: NO_MODULE,
  ENODEV: NO_MODULE,
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
