// Interrupts raised from TypeScript. The guest is in real mode, where they go through the vector
// table at 0.
import { setTimeout as sleep } from 'node:timers/promises'

import { type Route, VirtualMachine } from '../src/index.ts'
import { type Run, kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

const vector = 0x24
const handlerGpa = 0x1100
const nmiHandlerGpa = 0x1200
const many = process.env['VMEXIT_SOAK'] === '1' ? 100_000 : affordable(2000)

/** The PIC with line 4 open, on vectors 0x20 to 0x27; then a halt between interrupts. */
const withPic = `
  b0 11 e6 20 ; ICW1: edge-triggered, cascade, ICW4
  b0 20 e6 21 ; ICW2: vectors from 0x20
  b0 04 e6 21 ; ICW3: the second PIC at line 2
  b0 01 e6 21 ; ICW4: 8086 mode
  b0 ef e6 21 ; OCW1: line 4 only
  e6 e1       ; out %al,$0xe1: ready
  fb          ; sti
  f4          ; 1: hlt
  eb fd       ; jmp 1b
`
const withoutPic = 'e6 e1 ; out\n fb ; sti\n f4 ; 1: hlt\n eb fd ; jmp 1b'

/** Counts in the word at 0x500, tells the PIC and port 0xe0. */
const countOne = code('ff 06 00 05 ; incw 0x500\n b0 20 e6 20 ; EOI\n e6 e0 ; out\n cf ; iret')
const countNmi = code('ff 06 02 05 ; incw 0x502\n e6 e2 ; out\n cf ; iret')

/** A machine that calls `onReady` when its guest listens, and after every interrupt. */
function listening(irqchip: boolean, onReady: (vm: VirtualMachine) => unknown): VirtualMachine {
  const vm: VirtualMachine = new VirtualMachine({
    mode: 'real',
    irqchip,
    payload: { image: code(irqchip ? withPic : withoutPic), loadGpa: 0x1000 },
    routes: [
      { port: 0xe0, length: 3, device: { write: (): void => void onReady(vm) } },
      ...(irqchip ? [] : [{ port: 0x20, length: 2, to: 'discard' as const }]),
    ],
  })
  vm.memory.writeUint32(vector * 4, handlerGpa)
  vm.memory.writeUint32(2 * 4, nmiHandlerGpa)
  vm.memory.write(handlerGpa, countOne)
  vm.memory.write(nmiHandlerGpa, countNmi)
  return vm
}

const counted = (vm: VirtualMachine) => [vm.memory.readUint16(0x500), vm.memory.readUint16(0x502)]

/** Raises the next interrupt when the guest has counted the last one, `count` times. */
async function paced(
  irqchip: boolean,
  run: Run,
  count: number,
  raise: (vm: VirtualMachine) => unknown,
): Promise<number[]> {
  let raised = 0
  using vm = listening(irqchip, (self): void => {
    if (raised++ < count) raise(self)
    else self.stop()
  })
  await run(vm, { timeoutMs: 600_000 })
  return counted(vm)
}

kvmTestBoth('every pulse of a line arrives once', async (t, run) => {
  t.deepEqual(await paced(true, run, many, (vm) => vm.irq(4).pulse()), [many & 0xffff, 0])
})

kvmTestBoth('a line that stays up is one edge', async (t, run) => {
  const raise = (vm: VirtualMachine) => {
    const line = vm.irq(4)
    line.lower()
    line.raise()
    line.raise()
  }
  t.deepEqual(await paced(true, run, 100, raise), [100, 0])
})

kvmTestBoth('every injected vector arrives once', async (t, run) => {
  t.deepEqual(await paced(false, run, many, (vm) => vm.interrupt(vector)), [many & 0xffff, 0])
})

kvmTestBoth('every NMI arrives once', async (t, run) => {
  for (const irqchip of [true, false]) {
    t.deepEqual(await paced(irqchip, run, 100, (vm) => vm.nmi()), [0, 100])
  }
})

kvmTest('a line wakes a halted vCPU from the event loop', async (t) => {
  const seen = { times: 0 }
  using vm = listening(true, () => seen.times++)
  const running = vm.run({ timeoutMs: 300_000 })
  // The guest's first call says that it listens.
  for (let raised = 0; raised <= 10; raised++) {
    while (seen.times <= raised) await sleep(1)
    await sleep(2)
    vm.irq(4).pulse()
  }
  while (seen.times < 12) await sleep(1)
  vm.stop()
  t.is((await running).reason, 'stopped')
  t.deepEqual(counted(vm), [11, 0])
})

kvmTest('a vector from the event loop reaches a guest that spins', async (t) => {
  using vm = listening(false, () => vm.stop())
  // e6 e2 would stop it at once: sti; jmp .
  vm.memory.write(0x1000, code('fb eb fe ;'))
  const running = vm.run({ timeoutMs: 300_000 })
  await sleep(5)
  vm.interrupt(vector)
  t.is((await running).reason, 'stopped')
  t.deepEqual(counted(vm), [1, 0])
})

kvmTest('without an irqchip hlt ends the run, and one that waits wakes the next', async (t) => {
  using vm = listening(false, () => undefined)
  for (let count = 0; count < 3; count++) {
    t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'hlt')
    t.deepEqual(counted(vm), [count, 0])
    vm.interrupt(vector)
  }
})

kvmTest('a route where the kernel answers is refused, and says who does', (t) => {
  for (const [port, owner] of [
    [0x21, 'PIC'],
    [0x43, 'PIT'],
    [0x61, 'PIT speaker'],
  ] as const) {
    const place = `\\(port 0x${port.toString(16)}\\)`
    const message = new RegExp(`^routes\\[0\\] ${place} overlaps .* kernel's ${owner}:`)
    const route: Route = { port, to: 'discard' }
    t.throws(
      () => machine('f4 ;', [route], { irqchip: true }),
      vmError('ERR_INVALID_OPTION', message),
    )
    machine('f4 ;', [route]).close()
  }
})

kvmTest('what is wrong about an interrupt is said', (t) => {
  using vm = machine('f4 ;')
  using chip = machine('f4 ;', [], { irqchip: true })
  for (const line of [-1, 24, 1.5]) {
    t.throws(() => chip.irq(line), vmError('ERR_INVALID_OPTION', /^line must be .* 0 to 23, got/))
  }
  for (const bad of [-1, 256, Number.NaN]) {
    t.throws(
      () => vm.interrupt(bad),
      vmError('ERR_INVALID_OPTION', /^vector must be .* 0 to 255, got/),
    )
  }
  t.throws(() => vm.interrupt(32, 1), vmError('ERR_INVALID_OPTION', /^vcpu must be/))
  t.throws(() => vm.nmi(1), vmError('ERR_INVALID_OPTION', /^vcpu must be/))
  t.throws(() => vm.irq(4).pulse(), vmError('ERR_INVALID_OPTION', /irqchip: true/))
  t.throws(() => chip.interrupt(32), vmError('ERR_INVALID_OPTION', /without an irqchip/))
  for (let waiting = 0; waiting < 256; waiting++) vm.interrupt(waiting)
  t.throws(() => vm.interrupt(32), vmError('ERR_LIMIT', /256 interrupts wait/))
  const line = chip.irq(4)
  chip.close()
  for (const call of [() => line.raise(), () => line.pulse(), () => chip.nmi()]) {
    t.throws(call, vmError('ERR_VM_CLOSED'))
  }
})
