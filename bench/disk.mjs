// What a disk gives a Linux guest: vmexit's native one, one whose back end is JavaScript, and that of QEMU's microvm, in turns, on the
// same KVM, with the same kernel, initramfs and image. The guest itself takes the times.
//
//   npm run bench:disk                     in the emulated machine, which has all that this needs
//   node bench/disk.mjs --kernel vmlinuz --initrd initramfs --runs 5 --json
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { median } from '../dist/bench/statistics.js'
import { VirtualMachine } from '../dist/index.js'

const RUN_MS = 300_000
const MEMORY_MIB = 256
const MODULES = 'virtio_ring,virtio,virtio_mmio,virtio_blk'

const { values } = parseArgs({
  options: {
    kernel: { type: 'string', default: '/opt/linux/vmlinuz' },
    initrd: { type: 'string', default: '/opt/linux/initramfs.cpio' },
    qemu: { type: 'string', default: 'qemu-system-x86_64' },
    firmware: { type: 'string', default: '/usr/share/qemu' },
    machine: { type: 'string', default: 'microvm,pit=off,pic=off,rtc=off' },
    runs: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '64' },
    requests: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const { kernel, initrd } = values
const [megabytes, requests] = [Number(values.megabytes), Number(values.requests)]

// Past the guest's page cache, one request after the other.
const direct = (what, size, count) => [
  `echo ${what}-read`,
  `time dd if=/dev/vda of=/dev/null iflag=direct bs=${size} count=${count}`,
  `echo ${what}-write`,
  `time dd if=/dev/zero of=/dev/vda oflag=direct bs=${size} count=${count}`,
]
const WORK = [...direct('sequential', '1M', megabytes), ...direct('small', '4k', requests)]
const CMDLINE = `console=ttyS0 quiet load=${MODULES} run="${WORK.join('; ')}; echo all done"`

/** MB/s or requests per second by name, as the guest has measured them. */
function rates(text) {
  const found = {}
  const pattern = /(\w+-(?:read|write))\s[\s\S]*?real\s+(\d+)m ([\d.]+)s/g
  for (const [, name, minutes, seconds] of text.matchAll(pattern)) {
    const amount = name.startsWith('small') ? requests : megabytes * 1.048576
    found[name] = amount / (60 * Number(minutes) + Number(seconds))
  }
  if (Object.keys(found).length !== 4) throw new Error(`four times were to come:\n${text}`)
  return found
}

async function inVmexit(disk) {
  const vm = new VirtualMachine({
    pc: true,
    memoryBytes: MEMORY_MIB << 20,
    payload: { image: readFileSync(kernel), initrd: readFileSync(initrd), cmdline: CMDLINE },
    disks: [disk],
  })
  let said = ''
  const control = new AbortController()
  vm.serial.on('data', (bytes) => {
    said += bytes
    if (said.includes('all done')) control.abort()
  })
  await vm.run({ timeoutMs: RUN_MS, signal: control.signal }).catch((error) => {
    if (!control.signal.aborted) throw error
  })
  vm.close()
  return rates(said)
}

async function inMicrovm(file) {
  const args = [
    ...['-L', values.firmware, '-M', values.machine, '-bios', 'qboot.rom', '-accel', 'kvm'],
    ...['-cpu', 'host', '-smp', '1', '-m', `${MEMORY_MIB}`, '-nodefaults', '-no-user-config'],
    ...['-display', 'none', '-no-reboot', '-serial', 'stdio', '-kernel', kernel],
    ...['-initrd', initrd, '-append', CMDLINE, '-device', 'virtio-blk-device,drive=d'],
    ...['-drive', `if=none,id=d,format=raw,file=${file}`],
  ]
  const child = spawn(values.qemu, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      said += bytes
      if (said.includes('all done')) child.kill('SIGKILL')
    })
  }
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  clearTimeout(timer)
  return rates(said)
}

/** A disk of JavaScript's own, on a file. */
async function inJavaScript(file) {
  const handle = await open(file, 'r+')
  try {
    return await inVmexit({
      device: {
        bytes: megabytes << 20,
        read: async (offset, into) => void (await handle.read(into, 0, into.length, offset)),
        write: async (offset, bytes) => void (await handle.write(bytes, 0, bytes.length, offset)),
        flush: () => handle.datasync(),
      },
    })
  } finally {
    await handle.close()
  }
}

const ways = {
  native: (file) => inVmexit({ file }),
  typescript: inJavaScript,
  microvm: inMicrovm,
}

const folder = mkdtempSync(join(tmpdir(), 'vmexit-disk-'))
try {
  const file = join(folder, 'disk')
  writeFileSync(file, '')
  truncateSync(file, megabytes << 20)
  const samples = { native: [], typescript: [], microvm: [] }
  for (let run = 1; run <= Number(values.runs); run++) {
    for (const [name, measure] of Object.entries(ways)) {
      const found = await measure(file)
      samples[name].push(found)
      const text = Object.entries(found).map(([what, rate]) => `${what} ${rate.toFixed(1)}`)
      process.stderr.write(`run ${run}: ${name}: ${text.join(', ')}\n`)
    }
  }
  const middle = (name, what) => median(samples[name].map((sample) => sample[what]))
  const table = Object.keys(samples.native[0]).map((what) => {
    const [native, typescript, microvm] = Object.keys(ways).map((name) => middle(name, what))
    return {
      what,
      native,
      typescript,
      microvm,
      ofMicrovm: native / microvm,
      ofNative: typescript / native,
    }
  })
  if (values.json) process.stdout.write(`${JSON.stringify({ samples, table }, null, 2)}\n`)
  else {
    for (const { what, native, typescript, microvm, ofMicrovm, ofNative } of table) {
      const unit = what.startsWith('small') ? 'requests of 4 KiB per second' : 'MB/s'
      process.stdout.write(
        `${what}: native ${native.toFixed(1)}, JavaScript ${typescript.toFixed(1)}, microvm ${microvm.toFixed(1)} ${unit}; ` +
          `native is ${ofMicrovm.toFixed(2)} of microvm, JavaScript ${ofNative.toFixed(2)} of native\n`,
      )
    }
  }
} finally {
  rmSync(folder, { recursive: true })
}
