// What blocks of the guide need that not every machine has.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** How a chapter is followed: in which folder, and with which programs. */
export interface Place {
  folder: string
  env: NodeJS.ProcessEnv
}

/** Programs, by the name of the need. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  as: ['as', 'ld', 'objcopy'],
  cc: ['cc', 'as', 'ld', 'objcopy'],
  passt: ['passt'],
  virsh: ['virsh'],
  chromium: ['chromium'],
}

const MODES: Readonly<Record<string, { mode: string; privilege: string }>> = {
  'mode-paged32': { mode: 'paged32', privilege: 'kernel' },
  'mode-long-user': { mode: 'long', privilege: 'user' },
}

/** Where `npm run test:svm` has a kernel; elsewhere stock kernels may not boot. */
const LINUX = '/opt/linux'

/** Whether this is that machine, whose processor is emulated: everything takes longer there. */
export const isEmulated = (): boolean => existsSync(LINUX)

/** Files and folders that the reader's folder has for a need, by their names there. */
export const provided: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  linux: {
    vmlinuz: join(LINUX, 'vmlinuz'),
    busybox: join(LINUX, 'initramfs/bin/busybox'),
    modules: join(LINUX, 'initramfs/modules'),
  },
}

async function runs(program: string, { env }: Place): Promise<boolean> {
  try {
    await execute(program, ['--version'], { env })
    return true
  } catch {
    return false
  }
}

/** The modes that `vmexit doctor` finds, each with the reason why it does not run, if so. */
async function modes({ folder, env }: Place): Promise<any[]> {
  try {
    const { stdout } = await execute('npx', ['vmexit', 'doctor', '--json'], { cwd: folder, env })
    return JSON.parse(stdout).modes
  } catch {
    return []
  }
}

/** Why a need is not met, or nothing. */
export async function missing(need: string, place: Place): Promise<string | undefined> {
  const programs = PROGRAMS[need]
  if (programs) {
    const found = await Promise.all(programs.map((program) => runs(program, place)))
    const lacking = programs.filter((_, index) => !found[index])
    return lacking.length > 0 ? `no ${lacking.join(', ')} here` : undefined
  }
  const wanted = MODES[need]
  if (wanted) {
    const found = (await modes(place)).find(
      ({ mode, privilege }) => mode === wanted.mode && privilege === wanted.privilege,
    )
    if (!found) return 'the host could not be asked'
    return found.reason && `${need} ends with ${found.reason} on this KVM`
  }
  if (need === 'debian') {
    if (process.env['VMEXIT_SOAK'] !== '1') return 'packages are fetched with VMEXIT_SOAK=1'
    const found = await Promise.all(['apt-get', 'dpkg-deb'].map((each) => runs(each, place)))
    return found.includes(false) ? 'no apt-get, dpkg-deb here' : undefined
  }
  if (need === 'linux')
    return isEmulated() ? undefined : `no ${LINUX}/vmlinuz; npm run test:svm has one`
  return `unknown need '${need}'`
}

/** Whether the walker knows a need. */
export const isKnown = (need: string): boolean =>
  need in PROGRAMS || need in MODES || ['debian', 'linux'].includes(need)
