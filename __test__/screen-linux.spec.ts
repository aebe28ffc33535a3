// A kernel from elsewhere on both kinds of screen: Debian's stock one. The emulated machine of
// `npm run test:svm` has it in /opt/linux.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { VirtualMachine, type VirtualMachineOptions } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { decodePng } from './helpers/png.ts'

const folder = '/opt/linux'
const greeting = 'greetings from init on 1 processors'

function linuxTest(title: string, ...[implementation]: [Parameters<typeof kvmTest>[1]]): void {
  if (existsSync(`${folder}/vmlinuz`)) return kvmTest(title, implementation, test.serial)
  test.skip(`${title}: no ${folder}/vmlinuz; npm run test:svm has one`, (t) => t.pass())
}

function booted(screen: VirtualMachineOptions['screen'], cmdline: string): VirtualMachine {
  return new VirtualMachine({
    pc: true,
    memoryBytes: 256 << 20,
    screen: screen!,
    payload: {
      image: readFileSync(`${folder}/vmlinuz`),
      initrd: readFileSync(`${folder}/initramfs.cpio`),
      cmdline,
    },
  })
}

linuxTest("Debian's kernel boots on a text screen, which scrolls", async (t) => {
  t.timeout(1_300_000)
  // All that it says, which is more than 25 lines.
  using vm = booted('text', 'console=tty0')
  const screen = vm.screen!
  void vm.run().catch(() => undefined)
  const colour = await screen.waitFor(/Console: colour (.*)/, { timeoutMs: 1_200_000 })
  t.regex(colour?.[1] ?? '', /^VGA\+ 80x25/)
  await screen.waitFor(/^greetings from init on 1 processors$/m, { timeoutMs: 1_200_000 })
  t.true(
    screen.text().some((line) => /^\[ +[\d.]+\] Run \/init/.test(line)),
    screen.text().join('\n'),
  )
  t.is(vm.counters().exits['mmio-write'], 0)
})

/** Whether somewhere on the picture's grid of cells equal ones are where a text has them. */
function showsLike(text: string, { width, height, rgb }: ReturnType<typeof decodePng>): boolean {
  const cell = (column: number, row: number): string =>
    Array.from({ length: 16 }, (_, y) => {
      const at = ((row * 16 + y) * width + column * 8) * 3
      return rgb.toString('hex', at, at + 24)
    }).join('')
  const rows = Array.from({ length: height >> 4 }, (_, row) => row)
  return rows.some((row) => {
    const glyphs = [...text].map((_, column) => cell(column, row))
    const first = (all: readonly string[]) => all.map((each) => all.indexOf(each)).join()
    return first(glyphs) === first([...text])
  })
}

linuxTest("Debian's kernel boots on a framebuffer, and exits for none of its pixels", async (t) => {
  t.timeout(1_300_000)
  using vm = booted({ width: 640, height: 480 }, 'console=ttyS0 console=tty0 quiet')
  const screen = vm.screen!
  void vm.run().catch(() => undefined)
  await screen.waitFor(() => showsLike(greeting, decodePng(screen.png())), { timeoutMs: 1_200_000 })
  const { exits } = vm.counters()
  t.like(exits, { 'mmio-write': 0, 'mmio-read': 0 })
  const lit = screen.pixels().filter((byte) => byte > 0).length - 640 * 480
  t.true(lit > 1000, String(lit))
})
