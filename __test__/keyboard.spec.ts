// The PS/2 keyboard of a PC: what is typed reaches guests that poll and guests that wait for an
// interrupt, and the promise says when it has.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  type KeyboardLayout,
  Snapshot,
  VirtualMachine,
  type VirtualMachineOptions,
} from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { code, vmError } from './helpers/machine.ts'

/** Copies each code to port 0xe9 until Enter is released; then it turns itself off. */
const polls = `
  e4 64          ; 1: in $0x64,%al
  a8 01          ; test $1,%al
  74 fa          ; jz 1b
  e4 60          ; in $0x60,%al
  e6 e9          ; out %al,$0xe9
  3c 9c          ; cmp $0x9c,%al
  75 f2          ; jne 1b
  ba 04 06       ; mov $0x604,%dx
  b8 00 20       ; mov $0x2000,%ax
  ef             ; out %ax,(%dx)
`

/** The same in a handler of IRQ 1; it says by a byte that it is ready. */
const waits = `
  fa             ; cli
  31 c0          ; xor %ax,%ax
  8e d8          ; mov %ax,%ds
  b0 11 e6 20    ; the PIC: edges, vectors from 0x20
  b0 20 e6 21
  b0 04 e6 21
  b0 01 e6 21
  b0 fd e6 21    ; all masked but IRQ 1
  c7 06 84 00 38 7c ; vector 0x21: 0:0x7c38
  c7 06 86 00 00 00
  e6 e9          ; out %al,$0xe9
  fb             ; sti
  f4             ; 1: hlt
  80 3e 00 05 9c ; cmpb $0x9c,0x500
  75 f8          ; jne 1b
  ba 04 06       ; mov $0x604,%dx
  b8 00 20       ; mov $0x2000,%ax
  ef             ; out %ax,(%dx)
  90             ; nop
  50             ; push %ax
  e4 60          ; in $0x60,%al
  e6 e9          ; out %al,$0xe9
  a2 00 05       ; mov %al,0x500
  b0 20 e6 20    ; mov $0x20,%al; out %al,$0x20
  58             ; pop %ax
  cf             ; iret
`

function pc(listing: string, more: Partial<VirtualMachineOptions> = {}): VirtualMachine {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    payload: { image: code(listing), loadGpa: 0x7c00 },
    routes: [{ port: 0xe9, to: 'console' }],
    ...more,
  })
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** H with Shift, i, Enter. */
const hi = '2a23a3aa17971c9c'

kvmTestBoth('a guest that polls gets every code in order', async (t, run) => {
  using vm = pc(polls)
  const typed = vm.keyboard.type('Hi\n')
  const result = await run(vm)
  t.is(result.reason, 'power-off')
  t.is(hex(result.output), hi)
  await t.notThrowsAsync(typed)
})

kvmTestBoth('a guest that waits for interrupts gets every code in order', async (t, run) => {
  const seen: Uint8Array[] = []
  let typed: Promise<void> | undefined
  using vm = pc(waits, {
    routes: [
      {
        port: 0xe9,
        to: 'console',
        onData: (bytes) => {
          seen.push(bytes)
          typed ??= vm.keyboard.type('Hi\n')
        },
      },
    ],
  })
  t.is((await run(vm)).reason, 'power-off')
  t.is(hex(Buffer.concat(seen)), 'fd' + hi)
  await t.notThrowsAsync(typed!)
})

kvmTest('a long text reaches a guest while it runs', async (t) => {
  for (const listing of [polls, waits]) {
    using vm = pc(listing)
    const run = vm.run({ timeoutMs: 300_000 })
    // Its interrupt controller has to be ready.
    if (listing === waits) t.true(await until(() => vm.counters().exits['pio-out'] > 0))
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(10)
    await vm.keyboard.type(text)
    await vm.keyboard.press('Enter')
    const result = await run
    t.is(result.reason, 'power-off')
    // Two codes for each key, two more for Shift.
    t.is(result.output.length, 2 * text.length + 2 * 10 + 2 + (listing === waits ? 1 : 0))
  }
})

kvmTest('keys go down and up by the names of KeyboardEvent.code', async (t) => {
  using vm = pc(polls)
  const { keyboard } = vm
  for (const key of ['KeyA', 'ArrowUp', 'F12', 'ControlRight', 'Pause'])
    void (keyboard.down(key), keyboard.up(key))
  void keyboard.press('ctrl+c')
  void keyboard.press('ctrl+alt+del')
  void keyboard.press('ctrl++')
  void keyboard.press('Enter')
  const result = await vm.run({ timeoutMs: 300_000 })
  const keys = ['1e9e', 'e048e0c8', '58d8', 'e01de09d', 'e11d45e19dc5']
  const chords = ['1d2eae9d', '1d38e053e0d3b89d', '1d2a0d8daa9d', '1c9c']
  t.is(hex(result.output), [...keys, ...chords].join(''))
})

kvmTest('a stop leaves what was typed to the next run, a close rejects it', async (t) => {
  // jmp .; then polls, when its first byte is gone.
  using vm = pc('eb fe ;')
  const typed = vm.keyboard.type('Hi\n')
  let isRead = false
  void typed.then(
    () => (isRead = true),
    () => undefined,
  )
  await vm.run({ timeoutMs: 20 })
  const run = vm.run()
  vm.stop()
  await run
  await sleep(30)
  t.false(isRead)
  vm.memory.write(0x7c00, code(polls))
  t.is(hex((await vm.run({ timeoutMs: 300_000 })).output), hi)
  await typed

  using other = pc('eb fe ;')
  const lost = other.keyboard.type('Hi\n')
  void other.keyboard.press('F1')
  const { keyboard } = other
  void other.run().catch(() => undefined)
  other.close()
  await t.throwsAsync(lost, vmError('ERR_VM_CLOSED'))
  await t.throwsAsync(keyboard.type('x'), vmError('ERR_VM_CLOSED'))
  t.throws(() => keyboard.down('KeyA'), vmError('ERR_VM_CLOSED'))
  t.is(other.keyboard, keyboard)
})

kvmTest('a machine without a PC has neither keyboard nor power button', (t) => {
  using vm = new VirtualMachine({ mode: 'real', payload: { image: Uint8Array.of(0xf4) } })
  t.throws(() => vm.keyboard, vmError('ERR_INVALID_OPTION', /no keyboard; make it with pc: true/))
  t.throws(() => vm.powerButton(), vmError('ERR_INVALID_OPTION', /no power button/))
  vm.close()
  t.throws(() => vm.keyboard, vmError('ERR_VM_CLOSED'))
  t.throws(() => vm.powerButton(), vmError('ERR_VM_CLOSED'))
  t.notThrows(() => vm.reset())
})

/** Gives each code as an exit code. */
const tells = `
  e4 64          ; 1: in $0x64,%al
  a8 01          ; test $1,%al
  74 fa          ; jz 1b
  e4 60          ; in $0x60,%al
  e6 f4          ; out %al,$0xf4
  eb f4          ; jmp 1b
`

const stops = { routes: [{ port: 0xf4, to: 'stop' as const }] }

/** The next codes that a guest reads. */
function codes(vm: VirtualMachine, count: number): string {
  const read = () => vm.runSync({ timeoutMs: 300_000 }).exitCode ?? 0
  return hex(Uint8Array.from({ length: count }, read))
}

kvmTest('a snapshot has the codes that were not read, in a fork and in a file, too', async (t) => {
  using vm = pc(tells, stops)
  const typed = vm.keyboard.type('Hi\n')
  t.is(codes(vm, 3), hi.slice(0, 6))
  using snapshot = vm.snapshot()
  t.is(codes(vm, 5), hi.slice(6))
  await typed
  const later = vm.keyboard.type('later')
  vm.restore(snapshot)
  await t.throwsAsync(later, vmError('ERR_SNAPSHOT', /taken back what was typed/))
  using fork = vm.fork()
  // What is typed now comes after what waits.
  const more = [vm, fork].map((one) => one.keyboard.press('a'))
  for (const one of [vm, fork]) t.is(codes(one, 7), `${hi.slice(6)}1e9e`)
  await Promise.all(more)
  const file = join(mkdtempSync(join(tmpdir(), 'vmexit-')), 'keys.snapshot')
  await snapshot.save(file)
  using loaded = await Snapshot.load(file)
  using again = new VirtualMachine({ snapshot: loaded })
  t.is(codes(again, 5), hi.slice(6))
  rmSync(dirname(file), { recursive: true })
})

kvmTest('a pause keeps what was typed, and what is typed meanwhile comes after it', async (t) => {
  using vm = pc('eb fe ;')
  const run = vm.run({ timeoutMs: 300_000 })
  const typed = [vm.keyboard.press('a')]
  await vm.pause()
  typed.push(vm.keyboard.press('b'), vm.keyboard.press('Enter'))
  vm.memory.write(0x7c00, code(polls))
  vm.setRegisters({ rip: 0x7c00n })
  vm.resume()
  t.is(hex((await run).output), '1e9e30b01c9c')
  await Promise.all(typed)
})

kvmTest('what does not fit into the machine follows, and there is a limit', async (t) => {
  // A checksum of what is read: xor, and the count, until Enter is released.
  using vm = pc(`
    31 db          ; xor %bx,%bx
    66 31 c9       ; xor %ecx,%ecx
    e4 64          ; 1: in $0x64,%al
    a8 01          ; test $1,%al
    74 fa          ; jz 1b
    e4 60          ; in $0x60,%al
    66 41          ; inc %ecx
    3c 9c          ; cmp $0x9c,%al
    75 f2          ; jne 1b
    ba 04 06       ; mov $0x604,%dx
    b8 00 20       ; mov $0x2000,%ax
    ef             ; out %ax,(%dx)
  `)
  await t.throwsAsync(vm.keyboard.type('a'.repeat(600_000)), vmError('ERR_LIMIT', /wait/))
  const count = 33_000
  const typed = vm.keyboard.type('a'.repeat(count))
  void vm.keyboard.press('Enter')
  const result = await vm.run({ timeoutMs: 600_000 })
  t.is(result.reason, 'power-off')
  t.is(result.registers.rcx & 0xffff_ffffn, BigInt(2 * count + 2))
  await typed
})

kvmTest(
  'a guest that reads nothing, and one that floods the keyboard, hold nobody up',
  async (t) => {
    // jmp .; and 1: out %al,$0x60; inc %ax; out %al,$0x64 but for resets; jmp 1b
    for (const listing of ['eb fe ;', 'e6 60 40 e6 60 40 24 7f e6 64 eb f5 ;']) {
      using vm = pc(listing)
      const run = vm.run()
      const typed = vm.keyboard.type('x'.repeat(1000))
      for (let round = 0; round < 100; round++) {
        vm.keyboard.down('KeyA')
        vm.keyboard.up('KeyA')
      }
      await sleep(20)
      vm.stop()
      t.is((await run).reason, 'stopped')
      vm.close()
      await t.throwsAsync(typed, vmError('ERR_VM_CLOSED'))
    }
  },
)

kvmTest('what nobody awaits is no unhandled rejection', async (t) => {
  const seen: unknown[] = []
  const note = (error: unknown) => seen.push(error)
  process.on('unhandledRejection', note)
  using vm = pc('eb fe ;')
  void vm.keyboard.type('x')
  void vm.keyboard.type('日')
  void vm.keyboard.press('no+such+key')
  vm.close()
  void vm.keyboard.type('x')
  await sleep(20)
  process.off('unhandledRejection', note)
  t.deepEqual(seen, [])
})

kvmTest('what has no key is named with its place', async (t) => {
  using vm = pc('eb fe ;')
  const { keyboard } = vm
  const refused = (text: string, layout: KeyboardLayout, message: RegExp) =>
    t.throwsAsync(keyboard.type(text, { layout }), vmError('ERR_INVALID_OPTION', message))
  await refused('aé日', 'us', /text must be .*'us'.*, got "é" at 1, "日" at 2$/)
  await refused('💥x\0', 'de', /got "💥" at 0, "\\u0000" at 3$/)
  await refused('ééééééé', 'us', /"é" at 4 and 2 more$/)
  await t.throwsAsync(keyboard.type(7 as never), vmError('ERR_INVALID_OPTION', /text must be a st/))
  await refused('a', 'klingon' as never, /options.layout must be one of "us"/)
  await t.throwsAsync(keyboard.press('ctlr+c'), vmError('ERR_INVALID_OPTION', /did you mean ctrl/))
  await t.throwsAsync(keyboard.press(''), vmError('ERR_INVALID_OPTION', /keys must be/))
  t.throws(() => keyboard.down('keya'), vmError('ERR_INVALID_OPTION', /did you mean KeyA/))
  t.throws(() => keyboard.up(undefined as never), vmError('ERR_INVALID_OPTION'))
  // Nothing of it was typed.
  vm.memory.write(0x7c00, code(polls))
  void keyboard.press('Enter')
  t.is(hex((await vm.run({ timeoutMs: 300_000 })).output), '1c9c')
})

kvmTest('every layout has all of ASCII that is printed, and letters of its own', async (t) => {
  const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, index) => 0x20 + index))
  for (const layout of ['us', 'gb', 'de', 'fr'] as const) {
    using vm = pc(polls)
    void vm.keyboard.type(`${ascii}\t\b\u001b\r\n`, { layout })
    const { reason, output } = await vm.run({ timeoutMs: 300_000 })
    t.is(reason, 'power-off', layout)
    // All that goes down comes up again.
    const keys = [...output].filter((byte) => byte !== 0xe0)
    const down = keys.filter((byte) => byte < 0x80)
    t.deepEqual(
      down.toSorted(),
      keys
        .filter((byte) => byte >= 0x80)
        .map((byte) => byte - 0x80)
        .toSorted(),
    )
  }
  using vm = pc(polls)
  // Y and Z change places, { is AltGr and 7, ^ waits for the space bar.
  void vm.keyboard.type('yZß{^\n', { layout: 'de' })
  const { output } = await vm.run({ timeoutMs: 300_000 })
  t.is(hex(output), '2cac2a1595aa0c8ce0380888e0b829a939b91c9c')
})

kvmTest('keys that no guest reads are bounded, and cost the same each', async (t) => {
  using vm = pc('eb fe ;')
  const { keyboard } = vm
  for (let count = 0; count < 32_768; count++) {
    keyboard.down('KeyA')
    keyboard.up('KeyA')
  }
  t.throws(() => keyboard.down('KeyA'), vmError('ERR_LIMIT', /^65536 codes wait .* 1 more/))
  // What has a promise waits outside.
  const typed = Array.from({ length: 20_000 }, () => keyboard.press('a'))
  vm.close()
  const settled = await Promise.allSettled(typed)
  t.true(settled.every(({ status }) => status === 'rejected'))
})
