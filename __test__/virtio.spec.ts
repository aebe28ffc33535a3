// Debian's stock kernel, with its own modules, finds the virtio devices of a PC through ACPI. The
// emulated machine of `npm run test:svm` has it in /opt/linux.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = '/opt/linux'
const drivers = 'load=virtio_ring,virtio,virtio_mmio,virtio-rng'

/** What the guest prints before it powers off. */
async function boot(commands: string): Promise<{ heard: string; reason: string }> {
  using vm = new VirtualMachine({
    pc: true,
    memoryBytes: 256 << 20,
    payload: {
      image: readFileSync(`${folder}/vmlinuz`),
      initrd: readFileSync(`${folder}/initramfs.cpio`),
      cmdline: `console=ttyS0 quiet ${drivers} run="${commands}; poweroff -f"`,
    },
  })
  let heard = ''
  vm.serial.on('data', (bytes: Buffer) => (heard += bytes.toString()))
  const { reason } = await vm.run({ timeoutMs: 280_000 })
  return { heard, reason }
}

const title = "Debian's kernel finds the entropy device through ACPI and reads from it"
if (existsSync(folder)) {
  kvmTest(title, async (t) => {
    t.timeout(300_000)
    const commands = [
      'readlink /sys/bus/virtio/devices/virtio0',
      'cat /sys/class/misc/hw_random/rng_current',
      'for i in 1 2; do dd if=/dev/hwrng bs=32 count=16 | md5sum; done',
      // A driver that goes resets the device, and finds it again.
      'rmmod virtio_rng; insmod /modules/virtio-rng.ko',
      'dd if=/dev/hwrng bs=32 count=1 | wc -c',
      'grep virtio0 /proc/interrupts',
    ]
    const { heard, reason } = await boot(commands.join('; '))
    t.is(reason, 'power-off', heard)
    t.regex(heard, /devices\/platform\/LNRO0005:00\/virtio0/)
    t.regex(heard, /virtio_rng\.0/)
    const sums = heard.match(/[0-9a-f]{32}(?= {2}-)/g) ?? []
    t.is(new Set(sums).size, 2, heard)
    t.regex(heard, /^32\r?$/m)
    t.regex(heard, /16: +[1-9]\d* .*virtio0/)
  })
} else {
  test.skip(`${title}: no ${folder}; npm run test:svm has one`, (t) => t.pass())
}
