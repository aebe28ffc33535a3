// The stub for gdb and the runs of a machine: its own, those of the program, and how they end.
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { listenGdb } from '../src/gdb/index.ts'
import { Execution } from '../src/gdb/going/execution.ts'
import { type VirtualMachine, guests } from '../src/index.ts'
import { Client, packet } from './fixtures/gdb/client.ts'
import { ended } from './fixtures/child.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

async function attached(t: ExecutionContext, vm: VirtualMachine): Promise<Client> {
  const gdb = await listenGdb(vm)
  const client = await Client.connect(gdb.path!)
  t.teardown(async () => {
    client[Symbol.dispose]()
    await gdb.close()
  })
  return client
}

const textOf = (body: string): string => Buffer.from(body.slice(1), 'hex').toString()

/** inc eax; jmp -4 */
const counting = 'ff c0 eb fc'

for (const [title, listing, signal, text] of [
  ['hlt', 'f4', '05', /halted|hlt/],
  ['an access that nothing claims', 'e6 60', '0a', /port 0x60/],
  ['a shutdown', '0f 0b', '0b', /shut/],
] as const) {
  kvmTest(`${title} is told as a signal, and the machine can be looked at`, async (t) => {
    using vm = machine(listing, [], { faults: 'off' })
    const client = await attached(t, vm)
    client.write(packet('c'))
    t.regex(textOf(await client.answer(true)), text)
    t.regex(await client.answer(), new RegExp(`^T${signal}thread:1;`))
    t.false(vm.running)
    t.regex(await client.ask('g'), /^[0-9a-f]{1000,}$/)
  })
}

kvmTest('a fault is told by the signal of its exception', async (t) => {
  // ud2, and a load from where nothing is mapped
  for (const [listing, signal] of [
    ['0f 0b', '04'],
    ['48 b8 00 00 00 00 80 00 00 00 8a 00', '0b'],
  ] as const) {
    using vm = machine(listing, [], { faults: 'report' })
    const client = await attached(t, vm)
    t.regex(await client.ask('c'), new RegExp(`^T${signal}thread:1;`))
    t.is(await client.ask(`qRcmd,${Buffer.from('explain').toString('hex')}`), 'OK')
  }
})

kvmTest(
  'a code of a stop port is an exit, and the machine is gone when it is closed',
  async (t) => {
    // mov al, 7; out 0xf4, al; jmp -2
    const vm = machine('b0 07 e6 f4 eb fe', [{ port: 0xf4, to: 'stop' }])
    t.teardown(() => vm.close())
    const client = await attached(t, vm)
    t.is(await client.ask('vCont;c'), 'W07')
    client.write(packet('c'))
    t.true(await until(() => vm.running))
    vm.close()
    t.is(await client.answer(), 'X09')
    await client.closed()
  },
)

kvmTest('a read that nothing claims reads as ones when the guest goes on', async (t) => {
  // in al, 0x60; hlt
  using vm = machine('e4 60 f4')
  const client = await attached(t, vm)
  t.regex(await client.ask('c'), /^T0athread:1;/)
  t.regex(await client.ask('c'), /^T05thread:1;/)
  t.is(vm.registers().rax, 0xffn)
})

kvmTest('while the guest goes on, only Ctrl-C is taken', async (t) => {
  using vm = machine(counting)
  const client = await attached(t, vm)
  client.write(packet('vCont;c:-1'))
  t.true(await until(() => vm.running && !vm.paused))
  for (const body of ['g', 'm0,4', 'c', '?', 'D', 'Z0,0,1'])
    t.is(await client.ask(body), 'E10', body)
  client.write('\x03')
  t.regex(await client.answer(), /^T02thread:1;/)
  t.true(vm.paused)
  // Nothing goes on: it has no effect, and no answer.
  client.write('\x03')
  t.is(await client.ask('qC'), 'QC1')
  client.write(packet('c'))
  t.is(await client.ask('vCtrlC'), 'OK')
  t.regex(await client.answer(), /^T02thread:1;/)
})

kvmTest('a run of the program goes on when the client goes, however it goes', async (t) => {
  using vm = machine(counting)
  await using gdb = await listenGdb(vm)
  const run = vm.run()
  for (const leave of [
    (client: Client) => client.write(packet('D')),
    (client: Client) => client.end(),
    (client: Client) => client[Symbol.dispose](),
  ]) {
    using client = await Client.connect(gdb.path!)
    await client.ask('?')
    t.true(vm.paused)
    t.is(await client.ask('Z0,2,1'), 'OK')
    leave(client)
    t.true(await until(() => vm.running && !vm.paused && !gdb.connected))
    const before = vm.counters().kicks
    t.true(before >= 0)
  }
  vm.stop()
  t.is((await run).reason, 'stopped')
})

kvmTest('what the program has paused stays paused, and its end is told', async (t) => {
  using vm = machine(counting)
  await using gdb = await listenGdb(vm)
  const run = vm.run()
  await vm.pause()
  using first = await Client.connect(gdb.path!)
  await first.ask('?')
  first.write(packet('D'))
  await first.closed()
  t.true(vm.paused)
  using second = await Client.connect(gdb.path!)
  await second.ask('?')
  second.write(packet('c'))
  t.true(await until(() => !vm.paused))
  vm.stop()
  t.is((await run).reason, 'stopped')
  t.regex(await second.answer(), /^T05thread:1;/)
})

kvmTest(
  'breakpoints, steps and watchpoints stop the guest, and leave its memory as it is',
  async (t) => {
    // inc eax; mov [0x800], eax; jmp -11
    using vm = machine('ff c0 89 04 25 00 08 00 00 eb f5')
    const client = await attached(t, vm)
    t.regex(await client.ask('qSupported:swbreak+;hwbreak+'), /swbreak\+/)
    t.is(await client.ask('Z0,2,1'), 'OK')
    t.is(await client.ask('c'), 'T05thread:1;swbreak:;')
    t.is(vm.registers().rip, 2n)
    t.is(await client.ask('m0,4'), 'ffc08904')
    t.is(await client.ask('s'), 'T05thread:1;')
    t.is(vm.registers().rip, 9n)
    t.is(await client.ask('c'), 'T05thread:1;swbreak:;')
    t.is(vm.registers().rax, 2n)
    t.is(await client.ask('z0,2,1'), 'OK')
    t.is(await client.ask('Z1,9,1'), 'OK')
    t.is(await client.ask('c'), 'T05thread:1;hwbreak:;')
    t.is(await client.ask('z1,9,1'), 'OK')
    t.is(await client.ask('Z2,800,4'), 'OK')
    t.is(await client.ask('c'), 'T05thread:1;watch:800;')
    t.deepEqual([vm.registers().rip, vm.registers().rax], [9n, 3n])
    t.is(await client.ask('z2,800,4'), 'OK')
    for (const wrong of ['Z5,0,1', 'Z0,0', 'Z2,0,0', 'Z2,0,1000', 'Z2,ffffffffffffffff,8'])
      t.is(await client.ask(wrong), 'E01', wrong)
  },
)

kvmTest('a step of one vCPU lets the other one stand still, or go on, as it says', async (t) => {
  // lock inc dword [0x800]; jmp -10
  using vm = machine('f0 ff 04 25 00 08 00 00 eb f6', [], { vcpus: 2 })
  const client = await attached(t, vm)
  t.is(await client.ask('vCont;s:2'), 'T05thread:2;')
  t.is(vm.memory.readUint32(0x800), 1)
  t.deepEqual([vm.vcpus[0].registers().rip, vm.vcpus[1]!.registers().rip], [0n, 8n])
  t.is(await client.ask('vCont;s:1;c'), 'T05thread:1;')
  t.is(vm.vcpus[0].registers().rip, 8n)
  t.is(await client.ask('Hg2'), 'OK')
  t.is(await client.ask('Hg3'), 'E01')
  t.is(await client.ask('T2'), 'OK')
  t.is(await client.ask('T3'), 'E01')
  t.is(await client.ask('qfThreadInfo'), 'm1,2')
})

kvmTest('two vCPUs at one breakpoint are told one after the other', async (t) => {
  using vm = machine(counting, [], { vcpus: 2 })
  const client = await attached(t, vm)
  t.is(await client.ask('Z0,2,1'), 'OK')
  const told = new Set<string>()
  // The second one waits, and is told before anything goes on. It may be late to begin.
  const goOn = async () => told.add(await client.ask('c'))
  t.true(await until(() => told.size === 2, undefined, goOn))
  t.deepEqual([...told].toSorted(), ['T05thread:1;', 'T05thread:2;'])
  t.is(await client.ask('z0,2,1'), 'OK')
  client.write(packet('c'))
  t.true(await until(() => vm.running && !vm.paused))
  client.write('\x03')
  t.regex(await client.answer(), /^T02/)
})

kvmTest('a stop that comes while the machine is halted is told at the next resume', async (t) => {
  using vm = machine(counting, [], { vcpus: 2 })
  const told: unknown[] = []
  const execution = new Execution(vm, {
    begin: () => vm.run(),
    tell: (report) => void told.push(report),
    say: () => undefined,
  })
  const stops = [0, 1].map((vcpu) => ({ kind: 'stopped', signal: 5, vcpu }) as const)
  let isWanted = true
  const hits = stops.map((report) => execution.hit(report.vcpu, report, () => isWanted))
  execution.resume({ kind: 'all' })
  t.deepEqual(told, [stops[0]])
  t.false(vm.running)
  // The second one was taken away.
  isWanted = false
  execution.resume({ kind: 'all' })
  await Promise.all(hits)
  t.true(vm.running)
  execution.interrupt(1)
  t.true(await until(() => told.length === 2))
  t.deepEqual(told[1], { kind: 'stopped', signal: 2, vcpu: 1 })
})

kvmTest('a run waits for its client, and begins at its word', async (t) => {
  using vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
  const gdb = await listenGdb(vm)
  const run = gdb.run({ timeoutMs: 600_000 })
  await t.throwsAsync(gdb.run(), vmError('ERR_VM_BUSY'))
  {
    // One that only looks begins nothing.
    using client = await Client.connect(gdb.path!)
    t.regex(await client.ask('?'), /^T05/)
  }
  t.true(await until(() => !gdb.connected))
  t.false(vm.running)
  using client = await Client.connect(gdb.path!)
  t.regex(await client.ask('c'), /^T05/)
  const { reason, outputText } = await run
  t.deepEqual([reason, outputText], ['hlt', 'Hello, world!\n'])
  const never = gdb.run()
  await gdb.close()
  await t.throwsAsync(never, vmError('ERR_VM_CLOSED'))
  await t.throwsAsync(gdb.run(), vmError('ERR_VM_CLOSED'))
})

kvmTest(
  'a run that waits for its client can be aborted, and its options are checked',
  async (t) => {
    using vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
    await using gdb = await listenGdb(vm)
    const why = new Error('no more patience')
    const controller = new AbortController()
    const { signal } = controller
    let outcome: unknown
    gdb.run({ signal }).catch((error: unknown) => (outcome = error))
    controller.abort(why)
    await turn()
    t.is(outcome, why)
    t.is(await gdb.run({ signal }).catch((error: unknown) => error), why)
    const wrong = { timeoutMs: -1 }
    await t.throwsAsync(gdb.run(wrong), vmError('ERR_INVALID_OPTION', /timeoutMs/))
    // None of them is in the way of the next.
    const run = gdb.run({ signal: new AbortController().signal })
    using client = await Client.connect(gdb.path!)
    t.regex(await client.ask('c'), /^T05/)
    t.is((await run).outputText, 'Hello, world!\n')
  },
)

kvmTest(
  'many servers warn of nothing, and a process that ends takes their sockets along',
  async (t) => {
    using vm = machine(guests.spin)
    const warnings: Error[] = []
    const note = (warning: Error) => void warnings.push(warning)
    process.on('warning', note)
    const servers = await Promise.all(Array.from({ length: 12 }, () => listenGdb(vm)))
    for (const server of servers) await server.close()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', note)
    t.deepEqual(warnings, [])
    const program = `
    import { VirtualMachine, guests } from 'vmexit'
    import { listenGdb } from 'vmexit/gdb'
    const vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
    const gdb = await listenGdb(vm)
    console.log(gdb.path)
    process.exit(0)
  `
    const { output } = await ended(['--input-type=module', '--eval', program])
    t.regex(output, /vmexit-gdb-\w+\/socket\n$/)
    t.false(existsSync(dirname(output.trim())))
  },
)

kvmTest('a server ends with its machine', async (t) => {
  const vm = machine(guests.hello)
  const gdb = await listenGdb(vm, { port: 0 })
  vm.close()
  // It would keep this process.
  t.true(await until(() => !process.getActiveResourcesInfo().includes('TCPServerWrap')))
  await gdb.close()
})

kvmTest('the client kills no program, only the run', async (t) => {
  using vm = machine(counting)
  await using gdb = await listenGdb(vm)
  const run = vm.run()
  using client = await Client.connect(gdb.path!)
  t.is(await client.ask('qAttached'), '1')
  t.is(await client.ask('vKill;1'), 'OK')
  t.is((await run).reason, 'stopped')
  t.false(vm.closed)
})
