// Debian's kernel at a PC's keyboard and buttons: what is typed runs in tty1, the power button is
// an event, Ctrl+Alt+Del starts again. The emulated machine of `npm run test:svm` has the kernel.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = '/opt/linux'
const title =
  "a typed command runs in Debian's tty1, the power button is heard, ctrl+alt+del resets"

/** A shell on tty1 beside the one on the serial port. */
const cmdline = `console=ttyS0 quiet load=evdev,button run="setsid sh -c 'exec sh <>/dev/tty1 >&0 2>&1' &"`

/** acpid answers the power button; no echo of this says what it says. */
const answer = String.raw`mkdir -p /etc/acpi/PWRF /var/log /var/run
printf '#!/bin/sh\necho button $((6 * 7)) pressed >/dev/ttyS0\n' >/etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080; acpid; echo $((6 * 7)) listens
`

if (existsSync(`${folder}/vmlinuz`)) {
  kvmTest(title, async (t) => {
    t.timeout(1_300_000)
    using vm = new VirtualMachine({
      pc: true,
      memoryBytes: 256 << 20,
      screen: 'text',
      payload: {
        image: readFileSync(`${folder}/vmlinuz`),
        initrd: readFileSync(`${folder}/initramfs.cpio`),
        cmdline,
      },
    })
    let heard = ''
    let wake: () => void = () => undefined
    vm.serial.on('data', (bytes: Buffer) => {
      heard += bytes.toString()
      wake()
    })
    const ended = vm.run({ timeoutMs: 1_200_000 }).then((result) => {
      wake()
      return result
    })
    // After a failure nobody awaits it.
    ended.catch(() => undefined)
    const says = async (text: string): Promise<void> => {
      while (!heard.includes(text) && vm.running)
        await new Promise<void>((resolve) => (wake = resolve))
      t.true(heard.includes(text), heard)
    }
    await says('greetings from init')
    await vm.screen!.waitFor('/ #', { timeoutMs: 600_000 })
    await vm.keyboard.type('echo $((6 * 7)) is the answer\n')
    await vm.screen!.waitFor(/^42 is the answer/m, { timeoutMs: 600_000 })
    vm.serial.write(answer)
    await says('42 listens')
    // acpid says nothing when it has opened the button, and a press before that is not heard.
    const pressing = setInterval(() => vm.running && vm.powerButton(), 2000)
    try {
      vm.powerButton()
      await says('button 42 pressed')
    } finally {
      clearInterval(pressing)
    }
    await vm.keyboard.press('ctrl+alt+delete')
    t.is((await ended).reason, 'reset', heard)
  })
} else test.skip(`${title}: no ${folder}/vmlinuz; npm run test:svm has one`, (t) => t.pass())
