// One start of the emulated machine: QEMU without an accelerator, an AMD processor with SVM, one job inside.
import { closeSync, openSync, readFileSync, readSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findCommand } from './fetch.mjs'
import { PORTS, initramfs } from './init.mjs'
import { start, tail } from './scope.mjs'

// Ten times what an idle host of two cores needs.
const BOOT_SECONDS = 60
const OFF_SECONDS = 10
// What a step may take beyond its own time until it is ended and that is known.
const GRACE_SECONDS = 30
const POLL_MS = 50
const CHUNK_BYTES = 64 * 1024

// Without its vector extensions, as the emulator lets a guest's xsetbv overwrite the XCR0 of the machine itself.
const PROCESSOR = 'EPYC,+svm,-xsave,-avx,-avx2,-fma,-f16c'

// Two would be emulated by two threads, which is not safe: a translation keeps an int3 that the kernel has since patched
// away, so that both hang (QEMU 7.2), and KVM's own guests take a triple fault now and then (10.0).
const PROCESSORS = '1'

/** The kernel's command line. Told the frequency, the kernel does not calibrate, which hangs in most starts. */
function kernelLine() {
  const bogomips = Number(
    readFileSync('/proc/cpuinfo', 'utf8').match(/^bogomips\s*:\s*([\d.]+)/m)?.[1],
  )
  const kilohertz = Math.round((bogomips || 4000) * 500)
  return `console=ttyS0 quiet mitigations=off panic=-1 tsc_early_khz=${kilohertz} tsc=reliable`
}

/** The command, for the run's directory as working directory, where the machine's files are. */
function qemuCommand({ qemu, kernel }) {
  const image = readdirSync(join(kernel, 'boot')).find((name) => name.startsWith('vmlinuz'))
  const ports = PORTS.flatMap((name) => [
    ...['-chardev', `file,id=${name},path=${name}`],
    ...['-device', `virtserialport,chardev=${name},name=${name}`],
  ])
  // setpriv lets the kernel end QEMU when this process is killed and cannot do it itself.
  const setpriv = findCommand('setpriv')
  return [
    ...(setpriv ? [setpriv, '--pdeathsig', 'KILL'] : []),
    qemu.command,
    ...qemu.data,
    ...['-accel', 'tcg', '-M', 'microvm', '-cpu', PROCESSOR, '-smp', PROCESSORS, '-m', '2048'],
    // The default firmware, SeaBIOS, writes over the end of the initramfs while it looks for a disk to boot.
    ...['-bios', 'qboot.rom'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(kernel, 'boot', image), '-initrd', 'initramfs'],
    ...['-append', kernelLine(), '-serial', 'file:console'],
    ...['-drive', 'if=none,id=disk,format=raw,readonly=on,file=disk.ext4'],
    ...['-device', 'virtio-blk-device,drive=disk', '-device', 'virtio-serial-device', ...ports],
  ]
}

/** Hands over what a growing file has got since the last call. */
class Tail {
  #position = 0
  #buffer = Buffer.alloc(CHUNK_BYTES)

  constructor(path, take) {
    writeFileSync(path, '')
    this.descriptor = openSync(path, 'r')
    this.take = take
  }

  read() {
    let length
    do {
      length = readSync(this.descriptor, this.#buffer, 0, CHUNK_BYTES, this.#position)
      this.#position += length
      if (length > 0) this.take(Buffer.from(this.#buffer.subarray(0, length)))
    } while (length > 0)
  }

  close() {
    closeSync(this.descriptor)
  }
}

/** What the port for events has said: `ready SECONDS`, `step INDEX STATUS SECONDS`, `done`. */
class Events {
  ready = false
  done = false
  steps = []
  #rest = ''

  take(chunk) {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) {
      const [word, ...numbers] = line.split(' ')
      const [index, status, seconds] = numbers.map(Number)
      if (word === 'ready') this.ready = true
      if (word === 'done') this.done = true
      if (word === 'step') this.steps[index] = { status, seconds }
    }
  }
}

/** Why the machine is given up, if it is: it is bounded in every phase, as it may freeze as a whole. */
function problem({ events, over, now, started, marks, steps }) {
  if (over)
    return events.ready ? 'the machine went down in the middle' : 'the machine did not start'
  if (!events.ready) {
    return now - started > BOOT_SECONDS * 1000 ? `no /dev/kvm after ${BOOT_SECONDS} s` : undefined
  }
  // Inside, each step has ended by then, or has been ended.
  const step = steps[events.steps.length]
  const limit = (step?.seconds ?? 0) + GRACE_SECONDS
  if (now - marks.at(-1) < limit * 1000) return undefined
  return `the machine froze in ${step?.title ?? step?.command[0] ?? 'its last step'}: ${limit} s of silence`
}

/** Looks at the machine until the job is done, QEMU has ended or the time is over: what went wrong, if anything. */
async function watch({ events, tails, running, steps, onReady }) {
  const started = Date.now()
  // When the machine was ready, and when each step ended.
  const marks = []
  let doneAt
  for (;;) {
    // Asked before the files are read, so that they are read once more behind the end.
    const { over } = running
    for (const each of tails) each.read()
    const now = Date.now()
    if (events.ready && marks.length === 0) onReady(now - started)
    while (events.ready && marks.length <= events.steps.length) marks.push(now)
    if (events.done) doneAt ??= now
    // The ports are not in step with each other: only behind the end is all output here.
    if (doneAt && (over || now - doneAt > OFF_SECONDS * 1000)) return undefined
    const found = !doneAt && problem({ events, over, now, started, marks, steps })
    if (found) return found
    await sleep(POLL_MS)
  }
}

function explain(reason, directory, stderr) {
  const console = readFileSync(join(directory, 'console'), 'utf8')
  // Of the many features that EPYC has and the emulator has not, QEMU names each, twice.
  const said = stderr.replace(/^.*warning: TCG doesn't support.*\n/gm, '').trimEnd()
  const parts = [reason, said && `QEMU: ${said}`, `console:\n${tail(console) || '(empty)'}`]
  return parts.filter(Boolean).join('\n')
}

/** A step's verdict: `timeout` inside ends it by SIGTERM and then by SIGKILL. */
function judge(step, end) {
  const late = end && end.seconds >= step.seconds && [143, 137].includes(end.status)
  return { ...step, status: late ? 124 : end?.status, late: Boolean(late) }
}

/**
 * Starts the machine with the disk in `directory`, runs the job, hands on its output as it comes, and returns
 * `{ steps, trouble }`: each step with its `status` (124 when its time was over, undefined when it did not end), and what
 * ended the machine before its job was done, if anything did.
 */
export async function runMachine(directory, parts, job, { onReady, onOut, onErr }) {
  writeFileSync(join(directory, 'initramfs'), initramfs(parts, job))
  writeFileSync(join(directory, 'console'), '')
  const events = new Events()
  const takers = { out: onOut, err: onErr, events: (chunk) => events.take(chunk.toString()) }
  const tails = PORTS.map((name) => new Tail(join(directory, name), takers[name]))
  const options = { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory, env: parts.qemu.env }
  const qemu = start(qemuCommand(parts), options)
  let stderr = ''
  qemu.child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk))
  const running = { over: false }
  const ended = qemu.ended
    .catch((error) => (stderr += error.message))
    .finally(() => (running.over = true))
  let trouble
  try {
    const reason = await watch({ events, tails, running, steps: job.steps, onReady })
    if (reason) trouble = explain(reason, directory, stderr)
  } finally {
    qemu.kill()
    await ended
    for (const each of tails) each.close()
  }
  return { steps: job.steps.map((step, index) => judge(step, events.steps[index])), trouble }
}
