// Debian's stock kernel, with its own modules, finds the virtio devices of a PC through ACPI. The
// emulated machine of `npm run test:svm` has it in /opt/linux.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = '/opt/linux'
const drivers = 'load=virtio_ring,virtio,virtio_mmio,virtio-rng'
const PATIENCE_MS = 1_200_000

/** A machine that carries out commands and powers off, and what it prints. */
function linux(commands: string): { vm: VirtualMachine; said: { text: string } } {
  const vm = new VirtualMachine({
    pc: true,
    memoryBytes: 256 << 20,
    payload: {
      image: readFileSync(`${folder}/vmlinuz`),
      initrd: readFileSync(`${folder}/initramfs.cpio`),
      cmdline: `console=ttyS0 quiet ${drivers} run="${commands}; poweroff -f"`,
    },
  })
  return { vm, said: listened(vm) }
}

function listened(vm: VirtualMachine): { text: string } {
  const said = { text: '' }
  vm.serial.on('data', (bytes: Buffer) => (said.text += bytes.toString()))
  return said
}

const linuxTest: typeof kvmTest = (title, body) => {
  if (existsSync(folder)) return kvmTest(title, body, test.serial)
  test.skip(`${title}: no ${folder}; npm run test:svm has one`, (t) => t.pass())
}

linuxTest("Debian's kernel finds the entropy device through ACPI and reads from it", async (t) => {
  t.timeout(PATIENCE_MS + 20_000)
  const commands = [
    'readlink /sys/bus/virtio/devices/virtio0',
    'cat /sys/class/misc/hw_random/rng_current',
    'for i in 1 2; do dd if=/dev/hwrng bs=32 count=16 | md5sum; done',
    // A driver that goes resets the device, and finds it again.
    'rmmod virtio_rng; insmod /modules/virtio-rng.ko',
    'dd if=/dev/hwrng bs=32 count=1 | wc -c',
    'grep virtio0 /proc/interrupts',
  ]
  const { vm, said } = linux(commands.join('; '))
  const { reason } = await vm.run({ timeoutMs: PATIENCE_MS })
  vm.close()
  t.is(reason, 'power-off', said.text)
  t.regex(said.text, /devices\/platform\/LNRO0005:00\/virtio0/)
  t.regex(said.text, /virtio_rng\.0/)
  const sums = said.text.match(/[0-9a-f]{32}(?= {2}-)/g) ?? []
  t.is(new Set(sums).size, 2, said.text)
  t.regex(said.text, /^32\r?$/m)
  t.regex(said.text, /16: +[1-9]\d* .*virtio0/)
})

linuxTest(
  'a kernel that reads from its device goes on after a restore and in a fork',
  async (t) => {
    t.timeout(PATIENCE_MS + 20_000)
    // A number for each 4 KiB that have come.
    const loop = 'i=0; while [ $i -lt 40 ]; do dd if=/dev/hwrng bs=4k count=1 2>/dev/null'
    const { vm, said } = linux(`${loop} | wc -c; i=$((i + 1)); done; echo all of $i`)
    const lines = ({ text }: { text: string }): number => (text.match(/^4096\r?$/gm) ?? []).length
    const began = vm.run({ timeoutMs: PATIENCE_MS })
    await until(() => lines(said) >= 5, PATIENCE_MS)
    await vm.pause()
    using base = vm.snapshot()
    const before = lines(said)
    t.true(before < 40)
    using fork = new VirtualMachine({ snapshot: base })
    const forked = listened(fork)
    vm.resume()
    t.is((await began).reason, 'power-off', said.text)
    t.is(lines(said), 40, said.text)
    vm.restore(base)
    said.text = ''
    t.is((await vm.run({ timeoutMs: PATIENCE_MS })).reason, 'power-off', said.text)
    t.true(Math.abs(lines(said) + before - 40) <= 1, said.text)
    vm.close()
    t.is((await fork.run({ timeoutMs: PATIENCE_MS })).reason, 'power-off', forked.text)
    t.true(Math.abs(lines(forked) + before - 40) <= 1, forked.text)
  },
)
