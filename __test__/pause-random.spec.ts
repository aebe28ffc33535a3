// Pauses at random moments: the run comes to what it would have come to without them.
import { setImmediate as turn } from 'node:timers/promises'

import type { Route, RunResult, VirtualMachine, WriteBatch } from '../src/index.ts'
import { guests } from '../src/index.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { code, machine } from './helpers/machine.ts'
import { randomNumbers } from './helpers/random.ts'
import { affordable } from './helpers/speed.ts'

/** Pauses of each kind of guest; VMEXIT_SOAK=1 makes it 10,000 of all. */
const pauses = process.env['VMEXIT_SOAK'] === '1' ? 2000 : affordable(150)

/** Passes some time: none, turns of the event loop, or a fraction of a millisecond. */
async function dither(random: () => number): Promise<void> {
  const kind = random()
  if (kind < 0.2) return
  if (kind < 0.6) await turn()
  if (kind < 0.4) return
  const end = performance.now() + random() * 0.3
  while (performance.now() < end);
}

/** An answer at once, by a promise, or after some turns of the event loop. */
async function later(random: () => number): Promise<void> {
  for (let turns = random() * 4; turns > 1; turns--) await turn()
}

/** Pauses a run so often, unless it ends first; how often it was paused. */
async function disturb(
  vm: VirtualMachine,
  run: Promise<RunResult>,
  random: () => number,
  most = pauses,
): Promise<number> {
  let count = 0
  const state = { isOver: false }
  const over = (): void => void (state.isOver = true)
  run.then(over, over)
  while (!state.isOver && count < most) {
    await dither(random)
    await vm.pause()
    if (!vm.paused) continue
    count++
    if (random() < 0.3) vm.vcpus.forEach((vcpu) => vcpu.registers())
    await dither(random)
    vm.resume()
  }
  return count
}

/** Each writes numbers with its index in the top byte to port 0x200, and asks one back. */
const numbered = `
  66 ba 00 02             ; mov $0x200,%dx
  31 c9                   ; xor %ecx,%ecx
  89 f8                   ; 1: mov %edi,%eax
  c1 e0 18                ; shl $24,%eax
  09 c8                   ; or %ecx,%eax
  ef                      ; out %eax,(%dx)
  89 c3                   ; mov %eax,%ebx
  ed                      ; in (%dx),%eax
  39 d8                   ; cmp %ebx,%eax
  75 20                   ; jne 3f
  ff c1                   ; inc %ecx
  3b 0c 25 00 05 00 00    ; cmp 0x500,%ecx
  72 e6                   ; jb 1b
  f0 ff 04 25 04 05 00 00 ; lock incl 0x504
  8b 04 25 08 05 00 00    ; 2: mov 0x508,%eax
  3b 04 25 04 05 00 00    ; cmp 0x504,%eax
  75 f0                   ; jne 2b
  f4                      ; hlt
  0f 0b                   ; 3: ud2
`

/** What each vCPU wrote, which must be 0, 1, 2, …, one at a time. */
class Log {
  readonly next: number[]
  #isAsked = false
  readonly #random: () => number

  constructor(vcpus: number, random: () => number) {
    this.next = Array.from({ length: vcpus }, () => 0)
    this.#random = random
  }

  take(value: number): void {
    const vcpu = value >>> 24
    if ((value & 0xff_ffff) !== this.next[vcpu]) throw new Error(`${value} of vCPU ${vcpu}`)
    this.next[vcpu]! += 1
  }

  /** Takes, or echoes what was written last, at once or later. */
  async #alone(work: () => unknown): Promise<unknown> {
    if (this.#isAsked) throw new Error('asked while a question is open')
    this.#isAsked = true
    await later(this.#random)
    this.#isAsked = false
    return work()
  }

  answer(work: () => unknown): unknown {
    return this.#random() < 0.4 ? work() : this.#alone(work)
  }
}

function device(log: Log): Route {
  const last: number[] = []
  return {
    port: 0x200,
    length: 4,
    device: {
      write(_offset, _size, value, vcpu) {
        return log.answer(() => log.take((last[vcpu] = Number(value)))) as undefined
      },
      read: (_offset, _size, vcpu) => log.answer(() => last[vcpu]) as number,
    },
  }
}

for (const vcpus of [1, 2, 4]) {
  serialTest(`devices that answer at once and late, ${vcpus} vCPUs`, async (t) => {
    const random = randomNumbers(vcpus)
    let paused = 0
    for (let round = 0; paused < pauses && round < pauses; round++) {
      const log = new Log(vcpus, random)
      using vm = machine(numbered, [device(log)], { vcpus })
      const count = Math.ceil(40 / vcpus)
      vm.memory.writeUint32(0x500, count)
      vm.memory.writeUint32(0x508, vcpus)
      const run = vm.run({ timeoutMs: 600_000 })
      paused += await disturb(vm, run, random, pauses - paused)
      const { reason } = await run
      if (reason !== 'hlt') t.fail(`round ${round}: ${reason}`)
      t.deepEqual(log.next, Array(vcpus).fill(count))
      const { reads, writes } = vm.counters().routes[0]!
      t.deepEqual([reads, writes], [count * vcpus, count * vcpus])
    }
    t.log(`${paused} pauses`)
  })
}

serialTest('posted writes, text and unclaimed exits', async (t) => {
  const listing = `
    b9 20 00 00 00    ; mov $32,%ecx
    88 c8             ; 1: mov %cl,%al
    e6 62 e6 63 e6 e9 ; out
    e6 64             ; out
    e4 20             ; in $0x20,%al
    38 c8             ; cmp %cl,%al
    75 05             ; jne 2f
    ff c9             ; dec %ecx
    75 ec             ; jnz 1b
    f4                ; hlt
    0f 0b             ; 2: ud2
  `
  const random = randomNumbers(9)
  let paused = 0
  for (let round = 0; paused < pauses && round < pauses; round++) {
    const got = { queue: [] as number[], coalesce: [] as number[], text: [] as number[], events: 0 }
    const batch =
      (to: 'queue' | 'coalesce') =>
      async (writes: WriteBatch): Promise<void> => {
        for (const { value } of writes) got[to].push(Number(value))
        await later(random)
      }
    const onData = async (bytes: Uint8Array): Promise<void> => {
      got.text.push(...bytes)
      await later(random)
    }
    using vm = machine(listing, [
      { port: 0x62, to: 'queue', onBatch: batch('queue') },
      { port: 0x63, to: 'coalesce', onBatch: batch('coalesce') },
      { port: 0xe9, to: 'console', onData },
      { port: 0x64, to: 'event', onEvent: (count) => void (got.events += count) },
    ])
    let asked = 0
    const onExit = async (): Promise<number> => {
      const value = 32 - asked++
      await later(random)
      return value
    }
    const run = vm.run({ onExit, timeoutMs: 600_000 })
    paused += await disturb(vm, run, random, pauses - paused)
    const { reason } = await run
    const all = Array.from({ length: 32 }, (_, index) => 32 - index)
    if (reason !== 'hlt') t.fail(`round ${round}: ${reason}`)
    t.deepEqual(got, { queue: all, coalesce: all, text: all, events: 32 })
    t.is(asked, 32)
  }
  t.log(`${paused} pauses`)
})

serialTest('a vCPU that halts, and is woken by lines', async (t) => {
  // As in irq.spec.ts: the PIC with line 4 open, and a halt between interrupts.
  const withPic = code(`
    b0 11 e6 20 b0 20 e6 21 b0 04 e6 21 b0 01 e6 21 ; ICW1 to ICW4
    b0 ef e6 21                                     ; OCW1: line 4 only
    e6 e1 fb                                        ; ready; sti
    f4 eb fd                                        ; 1: hlt; jmp 1b
  `)
  const random = randomNumbers(5)
  const count = Math.max(pauses / 4, 50)
  let raised = 0
  const raise = (): void => {
    if (raised++ < count) vm.irq(4).pulse()
    else vm.stop()
  }
  using vm: VirtualMachine = machine(
    '',
    [{ port: 0xe0, length: 2, device: { write: () => later(random).then(raise) } }],
    { mode: 'real', irqchip: true, payload: { image: withPic, loadGpa: 0x1000 } },
  )
  vm.memory.writeUint32(0x24 * 4, 0x1100)
  vm.memory.write(
    0x1100,
    code('ff 06 00 05 ; incw 0x500\n b0 20 e6 20 ; EOI\n e6 e0 ; out\n cf ; iret'),
  )
  const run = vm.run({ timeoutMs: 600_000 })
  const paused = await disturb(vm, run, random, Infinity)
  t.is((await run).reason, 'stopped')
  t.is(vm.memory.readUint16(0x500), count)
  t.true(paused > 0)
  t.log(`${paused} pauses`)
})

serialTest('stop() and resume() at the same time', async (t) => {
  const random = randomNumbers(3)
  using vm = machine(guests.spin, [], { vcpus: 2 })
  for (let index = 0; index < pauses; index++) {
    const run = vm.run({ timeoutMs: 600_000 })
    await dither(random)
    const pause = vm.pause()
    await dither(random)
    if (random() < 0.3) await pause
    if (random() < 0.5) vm.resume()
    if (random() < 0.3) await dither(random)
    vm.stop()
    const { reason } = await run
    await pause
    if (reason !== 'stopped' || vm.paused || vm.running) t.fail(`${index}: ${reason}`)
  }
  t.true(await until(() => !vm.running))
})
