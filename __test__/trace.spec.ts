// Every exit as a record: what is in it, and which are kept.
import { setTimeout as sleep } from 'node:timers/promises'

import type { Counters, Trace, TracedExit, VirtualMachine } from '../src/index.ts'
import { collectUntil } from './fixtures/census.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { numbered } from './fixtures/numbered.ts'
import { machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** A write and a read of a port, of four bytes and of one, then of memory that is not there. */
const accesses = `
  b8 44 33 22 11          ; mov $0x11223344,%eax
  66 ba 00 02             ; mov $0x200,%dx
  ef                      ; out %eax,(%dx)
  ec                      ; in (%dx),%al
  bb 00 00 00 10          ; mov $0x10000000,%ebx
  48 8b 03                ; mov (%rbx),%rax
  48 89 43 08             ; mov %rax,8(%rbx)
  f4                      ; hlt
`
const routes = [
  { port: 0x60, to: 'constant', value: 0 },
  { port: 0x200, length: 4, device: { read: () => 0x7f, write: () => undefined } },
  { gpa: 0x1000_0000, length: 16, to: 'constant', value: 0x0102_0304_0506_0708n },
] as const

/** What does not depend on time, nor on the KVM. */
function facts(exit: TracedExit): object {
  const times = ['timeNs', 'guestNs', 'hostNs', 'rip']
  return Object.fromEntries(Object.entries(exit).filter(([name]) => !times.includes(name)))
}

const total = ({ exits }: Counters): number =>
  Object.values(exits).reduce((sum, count) => sum + count, 0)

/** Times of each vCPU follow one another, and so do those of all. */
function inOrder(exits: readonly TracedExit[]): boolean {
  const ends: number[] = []
  let last = 0
  return exits.every(({ timeNs, guestNs, hostNs, vcpu }) => {
    const follows = timeNs >= last && timeNs - guestNs >= (ends[vcpu] ?? 0) && hostNs >= 0
    last = timeNs
    ends[vcpu] = timeNs + hostNs
    return follows
  })
}

kvmTestBoth('every exit is a record with its place, value and route', async (t, run) => {
  using vm = machine(accesses, routes)
  using trace = vm.trace()
  t.is((await run(vm)).reason, 'hlt')
  const exits = [...trace]
  const value = 0x0102_0304_0506_0708n
  t.deepEqual(
    exits.map(facts),
    [
      { reason: 'pio-out', port: 0x200, size: 4, count: 1, value: 0x1122_3344, route: 1 },
      { reason: 'pio-in', port: 0x200, size: 1, count: 1, value: 0x7f, route: 1 },
      { reason: 'mmio-read', gpa: 0x1000_0000, size: 8, count: 1, value, route: 2 },
      { reason: 'mmio-write', gpa: 0x1000_0008, size: 8, count: 1, value, route: 2 },
      { reason: 'hlt' },
    ].map((exit) => ({ vcpu: 0, answered: true, ...exit })),
  )
  t.true(inOrder(exits))
  t.true(exits.every(({ guestNs }) => guestNs > 0))
  // A KVM shows the instruction of an access, or the next.
  t.true([5n + 4n, 5n + 5n].includes(exits[0]!.rip!), String(exits[0]!.rip))
  t.is(exits.at(-1)!.rip, vm.registers().rip)
})

kvmTest('with registers: true a record has the registers of its exit', (t) => {
  using vm = machine(accesses, routes)
  using trace = vm.trace({ registers: true })
  const { registers } = vm.runSync()
  const exits = [...trace]
  t.is(exits[0]!.registers!.rax, 0x1122_3344n)
  t.deepEqual(exits.at(-1)!.registers, registers)
  t.is(exits.at(-1)!.rip, registers.rip)
})

kvmTest('a read that waits for its value has none, and gets it from reply()', (t) => {
  // in $0x60,%al; hlt
  using vm = machine('e4 60 f4 ;')
  using trace = vm.trace()
  t.is(vm.runSync().reason, 'pio-in')
  const [open] = trace
  t.is(open?.answered, false)
  t.false('value' in open!)
  vm.reply(7)
  const [closed] = trace
  t.deepEqual([closed?.answered, closed?.value, closed?.route], [true, 7, undefined])
})

kvmTest('an exit that waits for its handler is there while it waits', async (t) => {
  const answers: ((value: number) => void)[] = []
  const read = (): Promise<number> => new Promise((resolve) => answers.push(resolve))
  using vm = machine('e4 60 f4 ;', [{ port: 0x60, device: { read } }])
  using trace = vm.trace()
  const run = vm.run()
  while (answers.length === 0) await sleep(1)
  const [first] = trace
  await sleep(5)
  const [later] = trace
  t.deepEqual([first?.answered, later?.answered], [false, false])
  t.true(later!.hostNs > first!.hostNs)
  await vm.pause()
  answers[0]!(3)
  vm.resume()
  await run
  const exits = [...trace]
  t.deepEqual([exits.length, exits[0]?.answered, exits[0]?.value], [2, true, 3])
  t.true(inOrder(exits))
})

function writers(vcpus: number, count: number): VirtualMachine {
  const ignored = { port: 0x200, length: 4, to: 'constant', value: 0 } as const
  const vm = machine(numbered, [ignored], { vcpus })
  vm.memory.writeUint32(0x500, count)
  vm.memory.writeUint32(0x508, vcpus)
  return vm
}

/** The numbers that each vCPU has written. */
function numbersOf(trace: Trace, vcpus: number): number[][] {
  const numbers: number[][] = Array.from({ length: vcpus }, () => [])
  for (const { vcpu, value, reason } of trace)
    if (reason === 'pio-out') numbers[vcpu]!.push(Number(value) & 0xff_ffff)
  return numbers
}

const consecutive = (numbers: readonly number[]): boolean =>
  numbers.every((number, index) => index === 0 || number === numbers[index - 1]! + 1)

kvmTest('the exits of several vCPUs are all there, each with its own', async (t) => {
  const count = affordable(2000)
  using vm = writers(4, count)
  using trace = vm.trace()
  t.is((await vm.run()).reason, 'hlt')
  for (const [vcpu, numbers] of numbersOf(trace, 4).entries()) {
    t.is(numbers.length, count, `vCPU ${vcpu}`)
    t.true(numbers[0] === 0 && consecutive(numbers), `vCPU ${vcpu}`)
  }
  t.is(trace.length, total(vm.counters()))
  t.is(trace.dropped, 0)
  t.true(inOrder([...trace]))
})

kvmTest('the newest exits are kept, and the others counted', (t) => {
  using vm = writers(1, 500)
  using trace = vm.trace({ capacity: 100 })
  vm.runSync()
  t.is(trace.capacity, 100)
  t.is(trace.length, 100)
  t.is(trace.dropped, 401)
  const [numbers] = numbersOf(trace, 1)
  t.is(numbers!.length, 99)
  t.true(numbers![0] === 401 && consecutive(numbers!))
})

kvmTest('a trace that is read while vCPUs write to it has whole records in a row', async (t) => {
  using vm = writers(2, 0x7f_ffff)
  using trace = vm.trace({ capacity: 16 })
  const run = vm.run()
  const least = affordable(2000)
  let seen = 0
  while (trace.dropped < least || seen < 20) {
    t.true(inOrder([...trace]))
    for (const numbers of numbersOf(trace, 2)) {
      t.true(numbers.length <= 16 && consecutive(numbers), String(numbers))
      seen += numbers.length
    }
    await sleep(1)
  }
  vm.stop()
  await run
  t.is(trace.length, 32)
})

kvmTest('a trace may begin and end during a run', async (t) => {
  using vm = writers(2, 0x7f_ffff)
  const run = vm.run()
  const trace = vm.trace()
  while (trace.length < 10) await sleep(1)
  trace.close()
  const { length } = trace
  using other = vm.trace()
  while (other.length < 10) await sleep(1)
  t.is(trace.length, length)
  vm.stop()
  await run
  t.true(numbersOf(trace, 2).every(consecutive))
  t.true(numbersOf(other, 2).every(consecutive))
})

kvmTest('the time between two runs belongs to none', async (t) => {
  // hlt; jmp to itself
  using vm = machine('f4 eb fd ;')
  using trace = vm.trace()
  vm.runSync()
  const waitedMs = 30
  await sleep(waitedMs)
  vm.runSync()
  const exits = [...trace]
  t.is(exits.length, 2)
  t.true(inOrder(exits))
  const inRuns = exits.reduce((sum, { guestNs, hostNs }) => sum + guestNs + hostNs, 0)
  const between = exits[1]!.timeNs - exits[0]!.timeNs
  t.true(between > waitedMs * 0.9e6, String(between))
  t.true(inRuns < between, `${inRuns} of ${between}`)
})

kvmTest('a trace outlives its machine, and its own end', (t) => {
  const vm = machine(accesses, routes)
  const trace = vm.trace()
  vm.runSync()
  const exits = [...trace]
  vm.close()
  t.deepEqual([...trace], exits)
  trace.close()
  trace.close()
  t.deepEqual([...trace], exits)
  t.deepEqual([trace.length, trace.dropped], [5, 0])
})

kvmTest('a machine has one trace at a time', (t) => {
  using vm = machine(accesses, routes)
  const first = vm.trace()
  t.throws(() => vm.trace(), vmError('ERR_VM_BUSY', /has a trace already; close\(\) it first/))
  first.close()
  using second = vm.trace()
  vm.runSync()
  t.deepEqual([first.length, second.length], [0, 5])
  vm.close()
  second.close()
  t.throws(() => vm.trace(), vmError('ERR_VM_CLOSED'))
})

kvmTest('a trace that is collected makes room for another', async (t) => {
  using vm = machine(accesses, routes)
  const begin = (): void => void vm.trace()
  begin()
  const isFree = (): boolean => {
    try {
      vm.trace().close()
      return true
    } catch {
      return false
    }
  }
  t.true(await collectUntil(isFree))
})

kvmTest('a copy of a machine is not traced, and a restored one goes on', (t) => {
  using vm = machine(accesses, routes)
  using base = vm.snapshot()
  using trace = vm.trace()
  vm.runSync()
  using copy = vm.fork()
  copy.runSync()
  t.is(trace.length, 5)
  vm.restore(base)
  vm.runSync()
  t.is(trace.length, 10)
  t.is(trace.length, total(vm.counters()))
})

kvmTest('options of trace() are checked', (t) => {
  using vm = machine(accesses, routes)
  const refused = (options: object, message: RegExp): void => {
    t.throws(() => vm.trace(options), vmError('ERR_INVALID_OPTION', message))
  }
  refused({ capacity: 0 }, /capacity must be a whole number from 1/)
  refused({ capacity: 1.5 }, /capacity must be a whole number/)
  refused({ capacity: 5n }, /capacity must be a whole number/)
  refused({ registers: 1 }, /registers must be true or false/)
  refused({ size: 1 }, /unknown 'size'/)
  t.throws(() => vm.trace({ capacity: 2 ** 24 }), vmError('ERR_LIMIT', /capacity: at most 1048576/))
  using other = machine(accesses, routes, { vcpus: 8 })
  t.throws(
    () => other.trace({ capacity: 2 ** 20, registers: true }),
    vmError('ERR_LIMIT', /capacity: at most 161319 exits of each of 8 vCPUs/),
  )
})
