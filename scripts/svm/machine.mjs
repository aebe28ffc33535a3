// One start of the emulated machine: QEMU without an accelerator, an AMD processor with SVM, one job inside.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findCommand } from './fetch.mjs'
import { ORDERS, PORTS, initramfs } from './init.mjs'
import { start, tail } from './scope.mjs'
import { Events, Orders, Tail } from './wire.mjs'

// Twenty times what an idle host of two cores needs.
const BOOT_SECONDS = 120
const OFF_SECONDS = 20
// What a step may take beyond its own time until it is ended and that is known.
const GRACE_SECONDS = 30
const POLL_MS = 50

// Without its vector extensions, as the emulator lets a guest's xsetbv overwrite the XCR0 of the machine itself.
const PROCESSOR = 'EPYC,+svm,-xsave,-avx,-avx2,-fma,-f16c'

// Two would be emulated by two threads, which is not safe: a translation keeps an int3 that the kernel has since patched
// away, so that both hang (QEMU 7.2), and KVM's own guests take a triple fault now and then (10.0).
const PROCESSORS = '1'

/**
 * The kernel's command line. Told the frequency, the kernel does not calibrate, which hangs in most starts; with RCU expedited, whoever
 * frees a machine does not wait for ticks of an idle processor.
 */
function kernelLine() {
  const bogomips = Number(
    readFileSync('/proc/cpuinfo', 'utf8').match(/^bogomips\s*:\s*([\d.]+)/m)?.[1],
  )
  const kilohertz = Math.round((bogomips || 4000) * 500)
  const fast = 'quiet mitigations=off rcupdate.rcu_expedited=1'
  return `console=ttyS0 ${fast} panic=-1 tsc_early_khz=${kilohertz} tsc=reliable`
}

/** The command, for the machine's directory as working directory. */
function qemuCommand({ qemu, kernel }, disk) {
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
    ...['-L', qemu.firmware],
    ...['-accel', 'tcg', '-M', 'microvm', '-cpu', PROCESSOR, '-smp', PROCESSORS, '-m', '2048'],
    // The default firmware, SeaBIOS, writes over the end of the initramfs while it looks for a disk to boot.
    ...['-bios', 'qboot.rom'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(kernel, 'boot', image), '-initrd', 'initramfs'],
    ...['-append', kernelLine(), '-serial', 'file:console'],
    ...['-drive', `if=none,id=disk,format=raw,readonly=on,file=${disk}`],
    ...['-device', 'virtio-blk-device,drive=disk', '-device', 'virtio-serial-device', ...ports],
    // The last one, as the machine takes it for the sign that all are there.
    ...['-chardev', `socket,id=${ORDERS},path=${ORDERS},server=on,wait=off`],
    ...['-device', `virtserialport,chardev=${ORDERS},name=${ORDERS}`],
  ]
}

/** Why the machine is given up, if it is: it is bounded in every phase, as it may freeze as a whole. */
function problem({ events, orders, over, now, started, steps }) {
  if (over)
    return events.ready ? 'the machine went down in the middle' : 'the machine did not start'
  if (!events.ready) {
    return now - started > BOOT_SECONDS * 1000 ? `no /dev/kvm after ${BOOT_SECONDS} s` : undefined
  }
  // Inside, the step has ended by then, or has been ended.
  const step = steps[orders.step]
  const limit = (step?.seconds ?? 0) + GRACE_SECONDS
  if (now - orders.since < limit * 1000) return undefined
  return `the machine froze in ${step?.title ?? step?.command[0] ?? 'its end'}: ${limit} s of silence`
}

/** Looks at the machine until the job is done, QEMU has ended or the time is over: what went wrong, if anything. */
async function watch({ events, orders, tails, running, steps, onReady }) {
  const started = Date.now()
  let doneAt
  for (;;) {
    // Asked before the files are read, so that they are read once more after the end.
    const { over } = running
    for (const each of tails) each.read()
    const now = Date.now()
    if (events.ready && orders.since === undefined) onReady(now - started)
    if (!over) orders.give(events, now)
    if (events.done) doneAt ??= now
    // The ports are not in step with each other: only after the end is all output here.
    if (doneAt && (over || now - doneAt > OFF_SECONDS * 1000)) return undefined
    const found = !doneAt && problem({ events, orders, over, now, started, steps })
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

/** How a step ended: `timeout` inside ends it by SIGTERM and then by SIGKILL. */
function judge(step, { status, seconds }) {
  const late = seconds >= step.seconds && [143, 137].includes(status)
  return { status: late ? 124 : status, late, seconds }
}

/**
 * Starts a machine in `directory` with a disk, runs the steps of the job that `next` names by index, hands on their output as it
 * comes, and returns `{ ends, trouble, aborted }`: by index how each step ended that it has run (`{ status, late, seconds }`, 124 and late
 * when its time was over), what ended the machine before its job was done, if anything did, and whether that was a failed assertion of QEMU's.
 */
export async function runMachine(directory, disk, parts, job, { next, onReady, onOut, onErr }) {
  writeFileSync(join(directory, 'initramfs'), initramfs(parts, job))
  writeFileSync(join(directory, 'console'), '')
  const events = new Events()
  const orders = new Orders(join(directory, ORDERS), next)
  const takers = { out: onOut, err: onErr, events: (chunk) => events.take(chunk.toString()) }
  const tails = PORTS.map((name) => new Tail(join(directory, name), takers[name]))
  const options = { stdio: ['ignore', 'ignore', 'pipe'], cwd: directory, env: parts.qemu.env }
  const qemu = start(qemuCommand(parts, disk), options)
  let stderr = ''
  qemu.child.stderr.setEncoding('utf8').on('data', (chunk) => (stderr += chunk))
  const running = { over: false }
  let aborted = false
  const ended = qemu.ended
    .then(({ signal }) => (aborted = signal === 'SIGABRT'))
    .catch((error) => (stderr += error.message))
    .finally(() => (running.over = true))
  let trouble
  try {
    const reason = await watch({ events, orders, tails, running, steps: job.steps, onReady })
    if (reason) trouble = explain(reason, directory, stderr)
  } finally {
    qemu.kill()
    await ended
    orders.close()
    for (const each of tails) each.close()
  }
  const ends = [...events.ends].map(([index, end]) => [index, judge(job.steps[index], end)])
  return { ends: new Map(ends), trouble, aborted }
}
