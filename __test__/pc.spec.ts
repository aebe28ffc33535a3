// The rest of a PC: how a guest turns it off, starts it again, and what it finds where nothing is.
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

/** out of AX or AL to a port. */
const outw = (port: number, value: number) => {
  const low = (word: number) => (word & 0xff).toString(16).padStart(2, '0')
  const high = (word: number) => low(word >> 8)
  return `66 ba ${low(port)} ${high(port)} 66 b8 ${low(value)} ${high(value)} 66 ef f4 ;`
}
const outb = (port: number, value: number) => outw(port, value).replace('66 ef', 'ee')

for (const [what, listing, reason] of [
  ['ACPI S5', outw(0x604, 0x2000), 'power-off'],
  ['the reset control register', outb(0xcf9, 6), 'reset'],
  ['the keyboard controller', outb(0x64, 0xfe), 'reset'],
] as const) {
  kvmTestBoth(`${what} ends the run: ${reason}`, async (t, run) => {
    using vm = machine(listing, [], { pc: true })
    const result = await run(vm)
    t.is(result.reason, reason)
    t.like(result.exit, { reason: 'pio-out' })
    t.is(result.vcpu, 0)
  })
}

kvmTestBoth('where nothing is, reads are all ones, and onExit is not asked', async (t, run) => {
  // mov $0x300,%dx; in (%dx),%eax; out %eax,(%dx); mov 0xd0000000,%ebx; mov %ebx,0xd0000000; cli;
  // out 0xcf9
  const listing = `
    66 ba 00 03             ; mov $0x300,%dx
    ed                      ; in (%dx),%eax
    ef                      ; out %eax,(%dx)
    b9 00 00 00 d0          ; mov $0xd0000000,%ecx
    8b 19                   ; mov (%rcx),%ebx
    89 19                   ; mov %ebx,(%rcx)
    ${outb(0xcf9, 6)}
  `
  using vm = machine(listing, [], { pc: true })
  t.is((await run(vm, { onExit: () => t.fail() as never })).reason, 'reset')
  t.is(vm.registers().rbx, 0xffff_ffffn)
})

kvmTest('the ACPI root pointer lies at 0xe0000, and its checksum is right', (t) => {
  using vm = machine('f4 ;', [], { pc: true, vcpus: 2 })
  const rsdp = vm.memory.read(0xe0000, 36)
  t.is(Buffer.from(rsdp.subarray(0, 8)).toString(), 'RSD PTR ')
  t.is(
    rsdp.reduce((sum, byte) => (sum + byte) & 0xff, 0),
    0,
  )
})

kvmTest('a PC has an irqchip and a serial port unless told otherwise', (t) => {
  using vm = machine('f4 ;', [], { pc: true })
  t.notThrows(() => vm.irq(4).pulse())
  t.is(vm.serial.writable, true)
  t.throws(
    () => machine('f4 ;', [], { pc: true, irqchip: false }),
    vmError('ERR_INVALID_OPTION', /pc needs irqchip: true/),
  )
})
