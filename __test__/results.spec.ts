// How a run ends: reason, exit, exit code, exits and time for each end, and what a further run
// does.
import { type EndReason, type Route, type RunResult, guests } from '../src/index.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine } from './helpers/machine.ts'

const stopPort: Route = { port: 0xf4, to: 'stop' }

/** Every end that a guest brings about, and its exits. */
const ends: [reason: EndReason, guest: string, exits: number, exit: object][] = [
  ['hlt', 'f4 ; hlt', 1, { reason: 'hlt' }],
  ['hlt', '90 e6 e9 e6 e9 f4 ; nop; out %al,$0xe9, twice; hlt', 3, { reason: 'hlt' }],
  ['shutdown', '0f 0b ; ud2', 1, { reason: 'shutdown' }],
  ['exit-port', 'b0 07 e6 f4 ; mov $7,%al; out %al,$0xf4', 1, { reason: 'pio-out', port: 0xf4 }],
  ['pio-out', 'e6 60 ; out %al,$0x60', 1, { reason: 'pio-out', port: 0x60 }],
  ['pio-in', 'e4 60 ; in $0x60,%al', 1, { reason: 'pio-in', port: 0x60 }],
  [
    'mmio-write',
    'a3 00 00 00 d0 00 00 00 00 ; mov %eax,0xd0000000',
    1,
    { reason: 'mmio-write', gpa: 0xd000_0000, size: 4 },
  ],
  [
    'mmio-read',
    'a0 03 00 00 d0 00 00 00 00 ; mov 0xd0000003,%al',
    1,
    { reason: 'mmio-read', gpa: 0xd000_0003, size: 1 },
  ],
]

function checkTime(result: RunResult, begin: number): boolean {
  return result.durationMs > 0 && result.durationMs <= performance.now() - begin
}

kvmTestBoth('every end has its reason, its exit and its number of exits', async (t, run) => {
  for (const [reason, guest, exits, exit] of ends) {
    using vm = machine(guest, [stopPort, { port: 0xe9, to: 'console' }])
    const begin = performance.now()
    const result = await run(vm)
    t.is(result.reason, reason, guest)
    t.like(result.exit, exit, guest)
    t.is(result.exits, exits, guest)
    t.is(result.exitCode, reason === 'exit-port' ? 7 : undefined)
    t.is('exitCode' in result && result.exitCode !== undefined, reason === 'exit-port')
    t.true(checkTime(result, begin), `${result.durationMs} ms`)
    t.false(vm.running)
    t.false(vm.closed)
  }
})

kvmTestBoth('a time-out ends a guest that spins, and its machine goes on', async (t, run) => {
  for (const guest of ['eb fe ; jmp to itself', 'e6 60 eb fc ; out %al,$0x60; jmp to the start']) {
    using vm = machine(guest, [{ port: 0x60, to: 'count' }])
    const begin = performance.now()
    const result = await run(vm, { timeoutMs: 30 })
    t.is(result.reason, 'timeout')
    t.is(result.exit, null)
    t.is(result.exitCode, undefined)
    t.true(result.durationMs >= 30, `${result.durationMs} ms`)
    t.true(checkTime(result, begin))
    // Nothing is lost: every exit was counted, and the guest can go on.
    t.is(result.exits, vm.counters().exits['pio-out'])
    t.is((await run(vm, { timeoutMs: 1 })).reason, 'timeout')
  }
})

kvmTestBoth('a time-out of 0 or of a fraction is one too', async (t, run) => {
  using vm = machine('eb fe ; jmp to itself')
  for (const timeoutMs of [0, 0.25, 1.5]) {
    const result = await run(vm, { timeoutMs })
    t.is(result.reason, 'timeout')
    t.true(result.durationMs >= timeoutMs)
  }
})

kvmTestBoth('stop() ends the run with its exit answered', async (t, run) => {
  const values: unknown[] = []
  const device = {
    write(_offset: number, _size: number, value: number | bigint) {
      values.push(value)
      if (value === 3) vm.stop()
    },
  }
  using vm = machine(guests.numbered, [{ port: 0x200, device }])
  vm.memory.writeUint32(0x500, 6)
  const result = await run(vm)
  t.is(result.reason, 'stopped')
  t.is(result.exit, null)
  t.is(result.exits, 4)
  t.deepEqual(values, [0, 1, 2, 3])
  // No write twice, none lost.
  t.is((await run(vm)).reason, 'hlt')
  t.deepEqual(values, [0, 1, 2, 3, 4, 5])
  t.is(vm.registers().rax, 6n)
})

kvmTestBoth('stop() without a run does nothing, now or later', async (t, run) => {
  using vm = machine('f4 ; hlt')
  vm.stop()
  t.is((await run(vm)).reason, 'hlt')
})

kvmTestBoth('a run continues after the halt', async (t, run) => {
  using vm = machine('fe c0 f4 eb fb ; inc %al; hlt; jmp to the start')
  for (const rax of [1n, 2n, 3n]) {
    const result = await run(vm)
    t.is(result.reason, 'hlt')
    t.is(result.exits, 1)
    t.is(vm.registers().rax, rax)
    t.is(vm.registers().rip, 3n)
  }
  t.is(vm.counters().exits.hlt, 3)
})

kvmTestBoth('a run continues after an exit port', async (t, run) => {
  using vm = machine('e6 f4 fe c0 eb fa ; out %al,$0xf4; inc %al; jmp to the start', [stopPort])
  const codes = []
  for (let index = 0; index < 4; index++) codes.push((await run(vm)).exitCode)
  t.deepEqual(codes, [0, 1, 2, 3])
})

kvmTestBoth('a guest that shut down can be started again', async (t, run) => {
  using vm = machine('0f 0b ; ud2')
  // Some KVMs reset the vCPU when it shuts down.
  const special = vm.specialRegisters()
  t.is((await run(vm)).reason, 'shutdown')
  vm.memory.write(0x1000, Uint8Array.of(0xf4))
  vm.setSpecialRegisters(special)
  vm.setRegisters({ rip: 0x1000n })
  t.is((await run(vm)).reason, 'hlt')
})

kvmTestBoth('the embedded guests end as their heads say', async (t, run) => {
  const text = [...Buffer.from('echo\n\0')]
  using input = machine(guests.input, [
    { port: 0x60, device: { read: () => text.shift() ?? 0 } },
    { port: 0xe9, to: 'console' },
  ])
  t.is((await run(input)).outputText, 'echo\n')
  t.is(input.registers().rax, 5n)

  using spin = machine(guests.spin)
  t.is((await run(spin, { timeoutMs: 5 })).reason, 'timeout')
  t.is(spin.registers().rip, 0n)
})

kvmTest('durationMs is the time of the run, not of the machine', async (t) => {
  using vm = machine('f4 f4 ; hlt; hlt')
  await new Promise((resolve) => setTimeout(resolve, 50))
  let begin = performance.now()
  t.true(checkTime(vm.runSync(), begin))
  await new Promise((resolve) => setTimeout(resolve, 50))
  begin = performance.now()
  t.true(checkTime(await vm.run(), begin))
})

kvmTest('a machine says whether it runs and whether it is closed', async (t) => {
  const seen: boolean[] = []
  const vm = machine('e6 60 f4 ; out %al,$0x60; hlt', [
    { port: 0x60, device: { write: () => void seen.push(vm.running) } },
  ])
  t.deepEqual([vm.running, vm.closed], [false, false])
  const running = vm.run()
  t.true(vm.running)
  await running
  t.deepEqual(seen, [true])
  t.deepEqual([vm.running, vm.closed], [false, false])
  vm.close()
  t.deepEqual([vm.running, vm.closed], [false, true])
})

kvmTest('machines that run at once end each on its own', async (t) => {
  // The devices ring for JavaScript while other machines' threads are still starting.
  const device = { read: () => 1, write: () => undefined }
  for (let round = 0; round < 10; round++) {
    const vms = Array.from({ length: 8 }, () =>
      machine(guests.pioSizes, [{ port: 0x200, length: 8, device }]),
    )
    const results = await Promise.all(vms.map((vm) => vm.run({ timeoutMs: 300_000 })))
    t.deepEqual(
      results.map(({ reason, exits }) => [reason, exits]),
      vms.map(() => ['hlt', 7]),
    )
    for (const vm of vms) vm.close()
  }
})
