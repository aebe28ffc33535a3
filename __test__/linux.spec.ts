// A kernel from elsewhere: Debian's stock one, as the bzImage that it is and as the ELF file
// within, boots to a shell, does what is typed, and powers off. The emulated machine of
// `npm run test:svm` has both in /opt/linux.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { Listener } from './helpers/listener.ts'

const folder = '/opt/linux'
const greeting = 'greetings from init on'

const kernels = [
  ['vmlinuz', 'bzimage', 'long'],
  ['vmlinux', 'pvh', 'protected'],
] as const

for (const [[name, format, mode], vcpus] of kernels.flatMap((kernel) =>
  [1, 2].map((count) => [kernel, count] as const),
)) {
  const title = `Debian's kernel, ${format}, boots to a shell and powers off, vCPUs: ${vcpus}`
  const path = `${folder}/${name}`
  if (!existsSync(path)) {
    test.skip(`${title}: no ${path}; npm run test:svm has one`, (t) => t.pass())
    continue
  }
  kvmTest(
    title,
    async (t) => {
      t.timeout(300_000)
      using vm = new VirtualMachine({
        pc: true,
        vcpus,
        memoryBytes: 256 << 20,
        payload: {
          image: readFileSync(path),
          initrd: readFileSync(`${folder}/initramfs.cpio`),
          cmdline: 'console=ttyS0 quiet',
        },
      })
      t.like(vm.loaded, { format, mode })
      const listener = new Listener(vm)
      const ended = vm.run({ timeoutMs: 280_000 }).then((result) => result)
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
