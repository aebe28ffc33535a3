// A kernel that nobody here wrote: Debian's stock one boots to a shell, does what is typed, and powers off. The emulated
// machine of `npm run test:svm` has it in /opt/linux.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = '/opt/linux'
const greeting = 'greetings from init on'

/** Reads on until a text has come. */
class Listener {
  heard = ''
  #wake: () => void = () => undefined

  constructor(vm: VirtualMachine) {
    vm.serial.on('data', (bytes: Buffer) => {
      this.heard += bytes.toString()
      this.#wake()
    })
  }

  async until(text: string): Promise<void> {
    while (!this.heard.includes(text)) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

for (const vcpus of [1, 2]) {
  const title = `Debian's kernel boots to a shell and powers off, vCPUs: ${vcpus}`
  if (!existsSync(folder)) {
    test.skip(`${title}: no kernel in ${folder}; npm run test:svm has one`, (t) => t.pass())
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
          image: readFileSync(`${folder}/vmlinuz`),
          initrd: readFileSync(`${folder}/initramfs.cpio`),
          cmdline: 'console=ttyS0 quiet',
        },
      })
      t.like(vm.loaded, { format: 'bzimage', mode: 'long' })
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
