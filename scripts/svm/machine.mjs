// The emulated machine: QEMU without an accelerator, and an AMD processor with SVM.
import { existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tail } from '../run.mjs'
import { start } from '../scope.mjs'
import { findCommand } from './parts.mjs'

// A hundred times what an idle host of two cores needs: a busy one may give QEMU no time for long.
const BOOT_SECONDS = 600
// What a step may take beyond its own time until it is ended and that is known.
const GRACE_SECONDS = 180

// Without its vector extensions, as the emulator lets a guest's xsetbv overwrite the XCR0 of the machine itself.
const PROCESSOR = 'EPYC,+svm,-xsave,-avx,-avx2,-fma,-f16c'

// Two would be emulated by two threads, which is not safe: a translation keeps an int3 that the kernel has since patched
// away, so that both hang (QEMU 7.2), and KVM's own guests take a triple fault now and then (10.0).
const PROCESSORS = '1'

/**
 * The kernel's command line. Told the frequency, the kernel does not calibrate, which hangs in most
 * starts; with RCU expedited, whoever frees a machine does not wait for ticks of an idle processor.
 * What the kernel does not know becomes a variable of its init.
 */
function kernelLine(name) {
  const bogomips = readFileSync('/proc/cpuinfo', 'utf8').match(/^bogomips\s*:\s*([\d.]+)/m)?.[1]
  const kilohertz = Math.round(Number(bogomips ?? 4000) * 500)
  const fast = 'quiet mitigations=off rcupdate.rcu_expedited=1'
  return `console=ttyS0 ${fast} panic=-1 tsc_early_khz=${kilohertz} tsc=reliable machine=${name}`
}

/** A folder of the host that the machine can mount by a tag. */
const share = (tag, path, options) => [
  ...['-fsdev', `local,id=${tag},path=${path},security_model=none${options}`],
  ...['-device', `virtio-9p-device,fsdev=${tag},mount_tag=${tag}`],
]

function qemuCommand({ qemu, kernel }, folder, name) {
  // setpriv lets the kernel end QEMU when this process is killed and cannot do it itself.
  const setpriv = findCommand('setpriv')
  return [
    ...(setpriv ? [setpriv, '--pdeathsig', 'KILL'] : []),
    ...['env', `LD_LIBRARY_PATH=${qemu.libraries}`, qemu.command, '-L', qemu.firmware],
    ...['-accel', 'tcg', '-M', 'microvm', '-cpu', PROCESSOR, '-smp', PROCESSORS, '-m', '2048'],
    // The default firmware, SeaBIOS, writes over the end of the initramfs while it looks for a disk to boot.
    ...['-bios', 'qboot.rom'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(kernel, 'vmlinux'), '-initrd', join(folder, 'initramfs.cpio')],
    ...['-append', kernelLine(name), '-serial', 'stdio'],
    ...share('host', '/', ',readonly=on,multidevs=remap'),
    ...share('work', folder, ''),
  ]
}

/** One start of the machine, which takes steps from `folder` under its name. */
export class Machine {
  /** `{ signal }`, once QEMU has ended. */
  end
  /** What ended it before its work was done, if anything did. */
  trouble
  #seen
  #begin = Date.now()
  #since = this.#begin
  #isReady = false

  constructor(parts, folder, name, onReady) {
    Object.assign(this, { folder, name, onReady })
    // As the folder is the working directory, a process in it is known to be of this job.
    const output = openSync(join(folder, `console-${name}`), 'w')
    const options = { cwd: folder, stdio: ['ignore', output, output] }
    this.qemu = start(qemuCommand(parts, folder, name), options)
    this.qemu.ended.then(
      (end) => (this.end = end),
      (error) => (this.end = { error }),
    )
  }

  has(file) {
    return existsSync(join(this.folder, `${file}-${this.name}`))
  }

  /** Gives the machine up if nothing has come of it for too long: it may freeze as a whole. */
  look(steps) {
    const isReady = this.has('ready')
    if (isReady && !this.#isReady) this.onReady(Date.now() - this.#begin)
    this.#isReady = isReady
    const taken = steps.filter(({ machine }) => machine === this.name)
    const current = taken.find(({ end }) => !end)
    const seen = [isReady, taken.length, current?.title].join()
    if (seen !== this.#seen) [this.#seen, this.#since] = [seen, Date.now()]
    const limit = isReady ? (current?.seconds ?? 0) + GRACE_SECONDS : BOOT_SECONDS
    if (this.end) this.#giveUp(isReady ? 'the machine went down' : 'the machine did not start')
    else if (Date.now() - this.#since > limit * 1000) {
      const where = isReady ? `froze in ${current?.title ?? 'its end'}` : 'has no /dev/kvm'
      this.#giveUp(`the machine ${where}: ${limit} s of silence`)
    }
  }

  #giveUp(reason) {
    this.qemu.kill()
    if (this.trouble || this.has('done')) return
    const error = this.end?.error?.message
    // Of the many features that EPYC has and the emulator has not, QEMU names each, twice.
    const text = readFileSync(join(this.folder, `console-${this.name}`), 'latin1')
    const said = tail(text.replace(/^.*warning: TCG doesn't support.*\n/gm, ''))
    this.trouble = [reason, error, `console:\n${said || '(empty)'}`].filter(Boolean).join('\n')
  }
}
