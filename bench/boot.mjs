// How long a Linux kernel takes to the first line of its init: `vmexit boot` against QEMU's microvm, each from the start of its
// process, in turns, on the same KVM, with the same kernel and initramfs.
//
//   npm run bench:boot                     in the emulated machine, which has all that this needs
//   npm run bench:boot -- --debian .cache/debian-root     a Debian from its disk, to its login prompt
//   node bench/boot.mjs --kernel vmlinuz --initrd initramfs --line 'what init prints' --runs 5 --cpus 1 --json
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { median } from '../dist/bench/statistics.js'

const RUN_MS = 300_000
const MEMORY_MIB = 256

const vmexitMain = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))

const { values } = parseArgs({
  options: {
    kernel: { type: 'string', default: '/opt/linux/vmlinuz' },
    initrd: { type: 'string', default: '/opt/linux/initramfs.cpio' },
    line: { type: 'string', default: 'greetings from init' },
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
    firmware: { type: 'string', default: '/usr/share/qemu' },
    machine: { type: 'string', default: 'microvm,pit=off,pic=off,rtc=off' },
    runs: { type: 'string', default: '5' },
    cpus: { type: 'string', default: '1' },
    debian: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

// The folder that scripts/debian-root.mjs makes; what is written to its disk is dropped.
const { cpus, debian } = values
const kernel = debian ? join(debian, 'vmlinuz') : values.kernel
const initrd = debian ? join(debian, 'initrd.img') : values.initrd
const line = debian ? 'login: ' : values.line
const disk = debian && join(debian, 'root.ext4')
const CMDLINE = `console=ttyS0 quiet${debian ? ' root=/dev/vda rw' : ''}`

const commands = {
  vmexit: [
    ...[process.execPath, vmexitMain, 'boot', kernel, '--initrd', initrd, '--cmdline', CMDLINE],
    ...['--memory', `${MEMORY_MIB}M`, '--cpus', cpus, '--silence', '0s'],
    ...(disk ? ['--disk', `${disk}:volatile`] : []),
  ],
  // Without the devices that its users are told to leave out; qboot is the firmware made for a fast start.
  microvm: [
    ...[values.qemu, '-L', values.firmware, '-M', values.machine, '-bios', 'qboot.rom'],
    ...['-accel', 'kvm', '-cpu', 'host', '-smp', cpus, '-m', `${MEMORY_MIB}`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', kernel, '-initrd', initrd, '-append', CMDLINE],
    ...(disk ? ['-drive', `if=none,id=d,format=raw,snapshot=on,file=${disk}`] : []),
    ...(disk ? ['-device', 'virtio-blk-device,drive=d'] : []),
  ],
}

/** Starts a command, and returns the milliseconds until init's line. */
async function boot([command, ...args]) {
  const begin = performance.now()
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS)
  const cameAfter = await new Promise((resolve, reject) => {
    const take = (chunk) => {
      said += chunk.toString()
      if (said.includes(line)) resolve(performance.now() - begin)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', reject)
    child.on('close', (code) => reject(new Error(`${command} ended with ${code}: ${said}`)))
  })
  clearTimeout(timer)
  const ended = new Promise((resolve) => child.on('close', resolve))
  child.kill('SIGKILL')
  await ended
  return cameAfter
}

const samples = { vmexit: [], microvm: [] }
for (let run = 1; run <= Number(values.runs); run++) {
  for (const [name, command] of Object.entries(commands)) {
    const ms = await boot(command)
    samples[name].push(ms)
    process.stderr.write(`run ${run}: ${name} ${(ms / 1000).toFixed(2)} s\n`)
  }
}
const [vmexitMs, microvmMs] = [median(samples.vmexit), median(samples.microvm)]
const ratio = vmexitMs / microvmMs
if (values.json) {
  process.stdout.write(`${JSON.stringify({ samples, vmexitMs, microvmMs, ratio }, null, 2)}\n`)
} else {
  const seconds = (ms) => (ms / 1000).toFixed(2)
  process.stdout.write(
    `vmexit ${seconds(vmexitMs)} s, microvm ${seconds(microvmMs)} s (medians of ${values.runs}); ratio ${ratio.toFixed(2)}, less is faster\n`,
  )
}
