// Kernels from elsewhere: Debian's stock one, as the bzImage that it is and as the ELF file within,
// and others of Debian's, boot to a shell, do what is typed, and power off. The emulated machine of
// `npm run test:svm` has the first and the real-time kernel in /opt/linux, and with VMEXIT_SOAK=1
// all of them.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { Listener } from './helpers/listener.ts'

const folder = '/opt/linux'
const greeting = 'greetings from init on'

const both = [1, 2]

/** Image, what it is, numbers of vCPUs, initramfs. */
const kernels = [
  ['vmlinuz', 'bzimage', 'long', both, 'initramfs'],
  ['vmlinux', 'pvh', 'protected', both, 'initramfs'],
  ['vmlinuz-rt', 'bzimage', 'long', [2], 'initramfs'],
  ['vmlinuz-cloud', 'bzimage', 'long', both, 'initramfs'],
  ['vmlinuz-backports', 'bzimage', 'long', both, 'initramfs'],
  ['vmlinuz-686', 'bzimage', 'protected', both, 'initramfs-686'],
] as const

for (const [[name, format, mode, , initramfs], vcpus] of kernels.flatMap((kernel) =>
  kernel[3].map((count) => [kernel, count] as const),
)) {
  const title = `Debian's ${name}, ${format}, boots to a shell and powers off, vCPUs: ${vcpus}`
  const path = `${folder}/${name}`
  if (!existsSync(path)) {
    test.skip(`${title}: no ${path}; VMEXIT_SOAK=1 npm run test:svm has one`, (t) => t.pass())
    continue
  }
  kvmTest(
    title,
    async (t) => {
      t.timeout(1_300_000)
      using vm = new VirtualMachine({
        pc: true,
        vcpus,
        memoryBytes: 256 << 20,
        payload: {
          image: readFileSync(path),
          initrd: readFileSync(`${folder}/${initramfs}.cpio`),
          cmdline: 'console=ttyS0 quiet',
        },
      })
      t.like(vm.loaded, { format, mode })
      const listener = new Listener(vm)
      const ended = vm.run({ timeoutMs: 1_200_000 }).then((result) => result)
      await Promise.race([listener.until(`${greeting} ${vcpus} processors`), ended])
      t.true(listener.heard.includes(greeting), listener.heard)
      vm.serial.write('echo $((6 * 7)) is the answer\n')
      await Promise.race([listener.until('42 is the answer'), ended])
      vm.serial.write('poweroff -f\n')
      const { reason } = await ended
      t.is(reason, 'power-off', listener.heard)
    },
    test.serial,
  )
}
