// The buttons of a PC's case: power, which a guest hears of by ACPI, and reset, which it does not.
import { setTimeout as sleep } from 'node:timers/promises'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

/**
 * Enables the power button's event, and hears of it by IRQ 9, which is level-triggered: each time
 * it writes the status, clears it, and says how often it has; the second time it turns itself off.
 */
const listens = `
  fa             ; cli
  31 c0          ; xor %ax,%ax
  8e d8          ; mov %ax,%ds
  b0 11 e6 20    ; both PICs: edges, vectors from 0x20 and 0x28
  e6 a0
  b0 20 e6 21
  b0 28 e6 a1
  b0 04 e6 21
  b0 02 e6 a1
  b0 01 e6 21
  e6 a1
  b0 fb e6 21    ; all masked but IRQ 2 and 9
  b0 fd e6 a1
  ba d1 04       ; mov $0x4d1,%dx
  b0 02 ee       ; IRQ 9 is a level
  c7 06 a4 00 57 7c ; vector 0x29: 0:0x7c57
  c7 06 a6 00 00 00
  ba 02 06       ; mov $0x602,%dx
  b8 00 01 ef    ; the button's event is enabled
  e6 e9          ; it listens
  80 3e 00 05 02 ; 1: cmpb $2,0x500
  73 05          ; jae 2f
  fb             ; sti: no interrupt comes between it and hlt
  f4             ; hlt
  fa             ; cli
  eb f4          ; jmp 1b
  ba 04 06       ; 2: mov $0x604,%dx
  b8 00 20       ; mov $0x2000,%ax
  ef             ; out %ax,(%dx)
  ba 00 06       ; handler: mov $0x600,%dx
  ed             ; in (%dx),%ax
  ef             ; out %ax,(%dx): clears what was set
  88 e0          ; mov %ah,%al
  e6 e9          ; out %al,$0xe9
  fe 06 00 05    ; incb 0x500
  b0 20 e6 a0    ; end of interrupt
  e6 20
  cf             ; iret
`

function pc(listing: string): VirtualMachine {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    payload: { image: code(listing), loadGpa: 0x7c00 },
    routes: [{ port: 0xe9, to: 'console' }],
  })
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

kvmTest('a guest hears of the power button once for each time it is pressed', async (t) => {
  using vm = pc(listens)
  // Before the guest has asked for it.
  vm.powerButton()
  vm.powerButton()
  const run = vm.run({ timeoutMs: 300_000 })
  const heard = () => vm.memory.readUint8(0x500)
  while (heard() < 1) await sleep(1)
  // The line is low again: no interrupt follows.
  await sleep(20)
  t.is(heard(), 1)
  vm.powerButton()
  const { reason, output } = await run
  t.is(reason, 'power-off')
  t.is(hex(output), '000101')
})

kvmTest('a press that was not heard is part of a snapshot', async (t) => {
  using vm = pc(listens)
  const run = vm.run({ timeoutMs: 300_000 })
  while (vm.counters().exits['pio-out'] < 2) await sleep(1)
  await vm.pause()
  vm.powerButton()
  using fork = vm.fork()
  using before = vm.snapshot()
  vm.resume()
  for (const [one, ended] of [
    [vm, run],
    [fork, fork.run({ timeoutMs: 300_000 })],
  ] as const) {
    while (one.memory.readUint8(0x500) < 1) await sleep(1)
    one.powerButton()
    t.is((await ended).reason, 'power-off')
    t.is(one.memory.readUint8(0x500), 2)
  }
  // Its line was low at last.
  vm.restore(before)
  const again = vm.run({ timeoutMs: 300_000 })
  while (vm.memory.readUint8(0x500) < 1) await sleep(1)
  vm.powerButton()
  t.is((await again).reason, 'power-off')
})

kvmTest('reset ends a run, also a paused one, and needs no PC', async (t) => {
  using vm = machine('eb fe ;')
  // Without a run nothing happens, now or later.
  vm.reset()
  t.is(vm.runSync({ timeoutMs: 5 }).reason, 'timeout')
  for (const pauses of [false, true]) {
    const run = vm.run({ timeoutMs: 300_000 })
    if (pauses) await vm.pause()
    vm.reset()
    const result = await run
    t.is(result.reason, 'reset')
    t.is(result.exit, null)
    t.is(result.vcpu, null)
    t.is(String(result), 'the machine was reset')
    t.false(vm.running)
  }
  // The first cause counts.
  const run = vm.run({ timeoutMs: 300_000 })
  vm.stop()
  vm.reset()
  t.is((await run).reason, 'stopped')
})

kvmTestBoth('a handler may press reset', async (t, run) => {
  // 1: out %al,$0x10; jmp 1b
  using vm = machine('e6 10 eb fc ;', [{ port: 0x10, device: { write: () => vm.reset() } }])
  const result = await run(vm)
  t.is(result.reason, 'reset')
  vm.close()
  t.notThrows(() => vm.reset())
})

kvmTest('after a reset a restore starts the guest again', async (t) => {
  using vm = pc(listens)
  using fresh = vm.snapshot()
  const run = vm.run({ timeoutMs: 300_000 })
  while (vm.counters().exits['pio-out'] < 2) await sleep(1)
  vm.reset()
  t.is((await run).reason, 'reset')
  vm.restore(fresh)
  vm.powerButton()
  const again = vm.run({ timeoutMs: 300_000 })
  while (vm.memory.readUint8(0x500) < 1) await sleep(1)
  vm.powerButton()
  t.is((await again).reason, 'power-off')
})

kvmTest('the power button is for an open PC', (t) => {
  using vm = pc(listens)
  vm.close()
  t.throws(() => vm.powerButton(), vmError('ERR_VM_CLOSED'))
})
