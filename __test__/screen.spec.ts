// What a guest shows, seen by the host: text in memory and a VGA adapter's registers, or pixels.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { Snapshot, VirtualMachine, type VirtualMachineOptions } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, vmError } from './helpers/machine.ts'
import { decodePng } from './helpers/png.ts'

/** Writes a white exclamation mark on blue, and waits. */
const mark = `
  b8 00 b8             ; mov $0xb800,%ax
  8e c0                ; mov %ax,%es
  26 c7 06 00 00 21 1f ; movw $0x1f21,%es:0
  f4                   ; hlt
`

const stop = '\ne6 f4 ; out %al,$0xf4'

/** Sets registers of the CRT controller, by words. */
const crtc = (...words: number[]) =>
  `ba d4 03 ; mov $0x3d4,%dx
  ${words.map((word) => `b8 ${hex(word & 0xff)} ${hex(word >> 8)} ef ; mov ax; out %ax,(%dx)`).join('\n')}`
const hex = (byte: number) => byte.toString(16).padStart(2, '0')

/** Fills the screen with all characters of the code page, again and again. */
const codePage = `
  b8 00 b8 ; mov $0xb800,%ax
  8e c0    ; mov %ax,%es
  31 ff    ; xor %di,%di
  b9 d0 07 ; mov $2000,%cx
  b8 00 1e ; mov $0x1e00,%ax
  ab       ; 1: stos %ax,%es:(%di)
  40       ; inc %ax
  e2 fc    ; loop 1b
`

function shown(listing: string, options: Partial<VirtualMachineOptions> = {}): VirtualMachine {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    memoryBytes: 1 << 20,
    screen: 'text',
    payload: { image: code(listing), loadGpa: 0x7c00 },
    routes: [{ port: 0xf4, to: 'stop' }],
    ...options,
  })
}

/** A line of a text screen. */
const line = (text: string) => text.padEnd(80)
const cells = (text: string) => Buffer.from([...text].join('\x07') + '\x07', 'latin1')

kvmTest("a boot sector's text is seen", async (t) => {
  using vm = shown(mark)
  const screen = vm.screen!
  t.like(screen, { kind: 'text', width: 640, height: 400 })
  t.deepEqual(screen.text(), Array<string>(25).fill(line('')))
  const ended = vm.run({ timeoutMs: 300_000 })
  t.is(await screen.waitFor('!'), null)
  t.is((await screen.waitFor(/!+/g))?.[0], '!')
  t.is(screen.text()[0], line('!'))
  vm.stop()
  await ended
})

kvmTest('its picture is the one that was looked at once', (t) => {
  // The cursor is a block in the last cell, whose foreground is 5: magenta.
  using vm = shown(codePage + crtc(0x07_0e, 0xcf_0f, 0x00_0a, 0x0f_0b) + stop)
  t.is(vm.runSync({ timeoutMs: 300_000 }).reason, 'exit-port')
  const picture = decodePng(vm.screen!.png())
  const golden = decodePng(readFileSync(new URL('fixtures/screen/code-page.png', import.meta.url)))
  t.deepEqual([picture.width, picture.height], [640, 400])
  t.true(picture.rgb.equals(golden.rgb), Buffer.from(vm.screen!.png()).toString('base64'))
  const pixels = Buffer.from(vm.screen!.pixels())
  t.is(pixels.length, 640 * 400 * 4)
  t.deepEqual([...pixels.subarray(-4)], [0xaa, 0x00, 0xaa, 0xff])
})

kvmTest('a screen scrolls by its start address, around the end of its memory', (t) => {
  using vm = shown(crtc(0x3f_0c, 0xb0_0d) + stop)
  // Cell 0x3fb0 begins the last 80 of 16,384; the second line is at the beginning of memory.
  vm.memory.write(0xb8000 + 0x3fb0 * 2, cells('the last'))
  vm.memory.write(0xb8000, cells('the first'))
  t.is(vm.screen!.text()[0], line('the first'))
  t.is(vm.runSync({ timeoutMs: 300_000 }).reason, 'exit-port')
  t.deepEqual(vm.screen!.text().slice(0, 3), ['the last', 'the first', ''].map(line))
})

kvmTest('an address beyond the window is one within it', (t) => {
  using vm = shown(crtc(0xff_0c, 0xff_0d, 0xff_3f) + stop)
  vm.memory.write(0xb8000 + 0x7ffe, cells('ab'.slice(0, 1)))
  vm.memory.write(0xb8000, cells('bc'))
  vm.runSync({ timeoutMs: 300_000 })
  t.is(vm.screen!.text()[0], line('abc'))
  t.notThrows(() => vm.screen!.png())
})

kvmTest('what is no letter is seen as code page 437 has it', (t) => {
  using vm = shown(mark)
  vm.memory.write(0xb8000, cells('\xc9\xcd\xbb \x81\xe1 \x01\0\xff\xdb'))
  t.is(vm.screen!.text()[0], line('╔═╗ üß ☺  █'))
})

kvmTest('pixels lie in memory, blue first', (t) => {
  using vm = shown(mark, { screen: { width: 100, height: 70 } })
  const screen = vm.screen!
  t.like(screen, { kind: 'pixels', width: 100, height: 70 })
  const last = 0xf000_0000 + (70 * 100 - 1) * 4
  vm.memory.writeUint32(last, 0x99_11_22_33)
  t.deepEqual([...screen.pixels().subarray(-8)], [0, 0, 0, 255, 0x11, 0x22, 0x33, 255])
  const { width, height, rgb } = decodePng(screen.png())
  t.deepEqual([width, height, ...rgb.subarray(-3)], [100, 70, 0x11, 0x22, 0x33])
  t.throws(() => screen.text(), vmError('ERR_INVALID_OPTION', /pixels, and no text/))
})

kvmTest('a text is waited for where there is text, and anything by a function', async (t) => {
  using vm = shown(mark, { screen: { width: 64, height: 64 } })
  const screen = vm.screen!
  await t.throwsAsync(screen.waitFor('!'), vmError('ERR_INVALID_OPTION', /no text/))
  setTimeout(() => vm.memory.writeUint32(0xf000_0000, 0xff_00_00), 50)
  t.is(await screen.waitFor((it) => it.pixels()[0] === 255), null)
  const thrown = new Error('thrown')
  const throws = screen.waitFor(() => {
    throw thrown
  })
  t.is(await t.throwsAsync(throws), thrown)
})

kvmTest('what does not show in time is an error that has the text', async (t) => {
  using vm = shown(mark)
  vm.memory.write(0xb8000, cells('panic: no root'))
  const waits = vm.screen!.waitFor(/login:/, { timeoutMs: 50 })
  const error = await t.throwsAsync(waits, vmError('ERR_TIMEOUT', /\/login:\/ within 50 ms/))
  t.regex(error?.message ?? '', /\npanic: no root$/)
  const wrong = [[7], [undefined], ['a', { timeoutMs: -1 }], ['a', { timeout: 1 }], ['a', null]]
  const waitFor = vm.screen!.waitFor.bind(vm.screen) as (...given: unknown[]) => Promise<unknown>
  for (const given of wrong) await t.throwsAsync(waitFor(...given), vmError('ERR_INVALID_OPTION'))
})

kvmTest('a change is told while somebody listens', async (t) => {
  using vm = shown(mark)
  const screen = vm.screen!
  const changes: number[] = []
  const listener = () => changes.push(changes.length)
  screen.on('change', listener)
  await sleep(200)
  t.is(changes.length, 0, 'nothing has changed')
  vm.memory.write(0xb8000 + 4, cells('x'))
  while (changes.length === 0) await sleep(10)
  await sleep(100)
  t.is(changes.length, 1)
  screen.off('change', listener)
  vm.memory.write(0xb8000 + 4, cells('y'))
  await sleep(100)
  t.is(changes.length, 1)
})

kvmTest('a snapshot has the screen, and its file too', async (t) => {
  using vm = shown(crtc(0x00_0c, 0x50_0d) + stop)
  vm.memory.write(0xb8000 + 160, cells('saved'))
  vm.runSync({ timeoutMs: 300_000 })
  using base = vm.snapshot()
  t.is(base.description.screen, 'text')
  t.is(vm.screen!.text()[0], line('saved'))
  vm.memory.write(0xb8000 + 160, cells('later'))
  using fork = new VirtualMachine({ snapshot: base })
  t.is(fork.screen!.text()[0], line('saved'))
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-screen-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  await base.save(join(folder, 'screen'))
  using loaded = await Snapshot.load(join(folder, 'screen'))
  using again = new VirtualMachine({ snapshot: loaded })
  t.is(again.screen!.text()[0], line('saved'))
  vm.restore(base)
  t.is(vm.screen!.text()[0], line('saved'))
  using other = shown(stop, { screen: { width: 64, height: 64 } })
  t.throws(
    () => other.restore(base),
    vmError('ERR_SNAPSHOT', /screen must be 'text'.* got 64 x 64/),
  )
})

kvmTest('pixels are shared and restored as other memory', (t) => {
  using vm = shown(stop, { screen: { width: 4096, height: 2160 } })
  vm.memory.writeUint32(0xf000_0000, 0x010203)
  using base = vm.snapshot()
  using fork = vm.fork()
  vm.memory.writeUint32(0xf000_0000, 0x040506)
  t.deepEqual([...fork.screen!.pixels().subarray(0, 4)], [1, 2, 3, 255])
  vm.restore(base)
  t.deepEqual([...vm.screen!.pixels().subarray(0, 4)], [1, 2, 3, 255])
  t.deepEqual(base.description.screen, { width: 4096, height: 2160 })
})

kvmTest('a closed machine shows nothing any more', async (t) => {
  using vm = shown(mark)
  const screen = vm.screen!
  screen.on('change', () => t.fail())
  const waits = t.throwsAsync(screen.waitFor('never'), vmError('ERR_VM_CLOSED'))
  vm.close()
  await waits
  for (const look of [() => screen.text(), () => screen.pixels(), () => screen.png()])
    t.throws(look, vmError('ERR_VM_CLOSED'))
  await t.throwsAsync(screen.waitFor('!'), vmError('ERR_VM_CLOSED'))
  t.notThrows(() => screen.on('change', () => undefined))
})

kvmTest('a screen given wrongly is an error that says so', (t) => {
  const cases: [unknown, RegExp][] = [
    ['texts', /screen must be 'text' or \{ width, height \}, got "texts"/],
    [80, /screen must be 'text' or/],
    [null, /screen must be 'text' or/],
    [{ width: 640 }, /screen\.height must be a whole number/],
    [{ width: 640, height: 480, depth: 16 }, /screen must be made of width, height/],
    [{ width: 63, height: 480 }, /screen\.width must be 64 to 4096, got 63/],
    [{ width: 640, height: 2161 }, /screen\.height must be 64 to 2160, got 2161/],
    [{ width: 640, height: 480n }, /screen\.height must be a whole number/],
  ]
  for (const [screen, message] of cases)
    t.throws(() => shown(stop, { screen } as never), vmError('ERR_INVALID_OPTION', message))
  const without = { pc: false, irqchip: false } as const
  t.throws(() => shown(stop, without), vmError('ERR_INVALID_OPTION', /screen needs pc: true/))
  const slots = [{ gpa: 0xf000_1000, bytes: 4096 }]
  const screen = { width: 640, height: 480 }
  t.throws(() => shown(stop, { slots, screen }), vmError('ERR_INVALID_OPTION', /overlaps screen/))
  using none = shown(stop, { screen: undefined } as never)
  t.is(none.screen, undefined)
})
