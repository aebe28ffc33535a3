// Scenarios around a machine's state: registers, interrupts with and without an irqchip, and the serial line.
import { guests } from '../../dist/index.js'
import { LIMIT, use } from './use.mjs'

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'))

/** Registers there and back; an interrupt, an NMI, and the lines of an irqchip. */
export async function registersAndInterrupts() {
  // 1: sti; hlt; jmp 1b
  const options = { mode: 'real', payload: { image: bytes('fbf4ebfd') } }
  const state = await use(options, (vm) => {
    for (const vector of [0x24, 2]) vm.memory.writeUint32(vector * 4, 0x1000)
    // incw 0x500; iret
    vm.memory.write(0x1000, bytes('ff060005cf'))
    vm.setRegisters({ rsp: 0x8000n, rcx: 7n })
    vm.setSpecialRegisters({ cr2: 5n })
    const { cr2 } = vm.specialRegisters()
    vm.interrupt(0x24)
    vm.nmi()
    const reasons = [1, 2, 3, 4].map(() => vm.runSync(LIMIT).reason)
    return `${reasons.join()} ${vm.memory.readUint16(0x500)} ${vm.registers().rcx} ${cr2}`
  })
  return `${state} ${await lines()}`
}

const lines = () =>
  use({ payload: guests.spin, irqchip: true }, (vm) => {
    vm.irq(3).raise()
    vm.irq(3).lower()
    vm.irq(4).pulse()
    vm.nmi()
    return 'lines'
  })

/** Echoes one byte and halts. */
export async function serialLine() {
  // 1: mov $0x3fd,%dx; in (%dx),%al; test $1,%al; jz 1b; mov $0x3f8,%dx; in (%dx),%al; out %al,(%dx); hlt
  const image = bytes('bafd03eca80174f8baf803eceef4')
  return use({ mode: 'real', serial: true, payload: { image } }, async (vm) => {
    const output = []
    vm.serial.on('data', (text) => output.push(String(text)))
    vm.serial.on('error', () => undefined)
    vm.serial.write('x')
    const { reason } = await vm.run(LIMIT)
    return `${reason} ${output.join('')}`
  })
}

/** Two snapshots, back to each of them, and a fork. */
export async function snapshots() {
  const kept = []
  const keep = (one) => (kept.push(one), one)
  try {
    // incl 0x500; hlt; jmp to the first
    return await use({ payload: { image: bytes('ff042500050000f4ebf6') } }, (vm) => {
      const count = () => (vm.runSync(LIMIT), vm.memory.readUint32(0x500))
      const first = keep(vm.snapshot())
      const counts = [count()]
      const second = keep(vm.snapshot())
      for (const base of [first, first, second, second]) {
        vm.restore(base)
        counts.push(count())
      }
      const fork = keep(vm.fork())
      fork.runSync(LIMIT)
      return `${counts.join()} ${fork.memory.readUint32(0x500)} ${[...first.diff(second)].length > 0}`
    })
  } finally {
    for (const one of kept) one.close()
  }
}
