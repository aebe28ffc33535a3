// A run that is interrupted and goes on: what is allowed meanwhile, what waits, and what ends it.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { type Route, type VirtualMachine, guests } from '../src/index.ts'
import { serialTest } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'
import { patient } from './helpers/speed.ts'

/** A write and a read, whose value goes to RBX; then text, posted writes, and a halt. */
const accesses = `
  e6 11 ; out %al,$0x11
  e4 10 ; in $0x10,%al
  88 c3 ; mov %al,%bl
  f4    ; hlt
`

interface Promised {
  readonly promise: Promise<unknown>
  readonly settle: (value?: unknown) => void
  readonly reject: (error: unknown) => void
}

function promised(): Promised {
  let settle: (value?: unknown) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<unknown>((resolve, fail) => ([settle, reject] = [resolve, fail]))
  return { promise, settle, reject }
}

kvmTest('pause() resolves when all vCPUs have left the guest; resume() continues', async (t) => {
  for (const vcpus of [1, 3]) {
    // 1: inc %rbx; jmp 1b
    using vm = machine('48 ff c3 ; inc\n eb fb ; jmp', [], { vcpus })
    const run = vm.run({ timeoutMs: 300_000 })
    const seen: bigint[] = []
    // On a busy host the guest may not be entered between two pauses.
    for (let index = 0; index < 5 || seen.at(-1) === seen[0]; index++) {
      await vm.pause()
      t.deepEqual([vm.paused, vm.running], [true, true])
      const before = vm.vcpus.map((vcpu) => vcpu.registers().rbx)
      await sleep(2)
      const after = vm.vcpus.map((vcpu) => vcpu.registers().rbx)
      t.deepEqual(after, before)
      seen.push(before.reduce((sum, rbx) => sum + rbx))
      vm.resume()
      t.deepEqual([vm.paused, vm.running], [false, true])
      await sleep(2)
    }
    t.deepEqual(
      seen,
      seen.toSorted((a, b) => Number(a - b)),
    )
    t.true(seen.at(-1)! > seen[0]!)
    vm.stop()
    t.is((await run).reason, 'stopped')
  }
})

kvmTest('a paused machine may be looked at and changed as an idle one', async (t) => {
  using vm = machine(guests.spin)
  const run = vm.run()
  await vm.pause()
  vm.setRegisters({ rbx: 7n })
  vm.setSpecialRegisters({ cr2: 5n })
  t.is(vm.registers().rbx, 7n)
  t.is(vm.specialRegisters().cr2, 5n)
  // 1: out %al,$0x60; out %al,$0x61; hlt
  vm.memory.write(0, Uint8Array.of(0xe6, 0x60, 0xe6, 0x61, 0xf4))
  const written: unknown[] = []
  const write = (_offset: number, _size: number, value: unknown) => void written.push(value)
  vm.attach({ port: 0x60, device: { write } })
  const events: number[] = []
  vm.attach({ port: 0x61, to: 'event', onEvent: (count) => void events.push(count) })
  const gone = vm.attach({ port: 0x62, to: 'discard' })
  gone[Symbol.dispose]()
  t.throws(() => vm.reply(1), vmError('ERR_UNANSWERED_READ'))
  vm.resume()
  t.is((await run).reason, 'hlt')
  t.is(vm.registers().rbx, 7n)
  t.deepEqual([written.length, events], [1, [1]])
})

kvmTest('a paused machine can begin no other run', async (t) => {
  using vm = machine(guests.spin)
  const run = vm.run()
  await vm.pause()
  t.throws(() => vm.runSync(), vmError('ERR_VM_BUSY', /paused/))
  await t.throwsAsync(vm.run(), vmError('ERR_VM_BUSY', /paused/))
  vm.stop()
  t.is((await run).reason, 'stopped')
  await vm.pause()
  t.is(vm.runSync({ timeoutMs: 1 }).reason, 'timeout')
})

kvmTest('without a run pause() resolves, and nothing is paused', async (t) => {
  using vm = machine(guests.hello, [{ port: 0xe9, to: 'discard' }])
  await vm.pause()
  vm.resume()
  t.deepEqual([vm.paused, vm.running], [false, false])
  t.is((await vm.run()).reason, 'hlt')
  await vm.pause()
  t.false(vm.paused)
  vm.close()
  t.false(vm.paused)
  await t.throwsAsync(vm.pause(), vmError('ERR_VM_CLOSED'))
  t.throws(() => vm.resume(), vmError('ERR_VM_CLOSED'))
})

kvmTest('who pauses twice gets one promise, until resume()', async (t) => {
  using vm = machine(guests.spin)
  const run = vm.run()
  const first = vm.pause()
  t.is(vm.pause(), first)
  await first
  t.is(vm.pause(), first)
  vm.resume()
  const second = vm.pause()
  t.not(second, first)
  await second
  t.true(vm.paused)
  vm.stop()
  await run
})

kvmTest('resume() before the vCPUs have left takes the pause back', async (t) => {
  using vm = machine(guests.spin)
  const run = vm.run()
  const pause = vm.pause()
  vm.resume()
  await pause
  await until(() => !vm.paused)
  await sleep(2)
  t.deepEqual([vm.paused, vm.running], [false, true])
  const again = vm.pause()
  vm.resume()
  t.is(vm.pause(), again)
  await again
  t.true(vm.paused)
  vm.resume()
  vm.stop()
  t.is((await run).reason, 'stopped')
})

kvmTest('runSync() cannot be paused', async (t) => {
  const rejected: Promise<void>[] = []
  using vm: VirtualMachine = machine(accesses, [
    { port: 0x10, device: { read: () => 0 } },
    {
      port: 0x11,
      device: {
        write() {
          rejected.push(vm.pause())
          rejected.at(-1)!.catch(() => undefined)
          vm.resume()
        },
      },
    },
  ])
  t.is(vm.runSync().reason, 'hlt')
  await t.throwsAsync(rejected[0]!, vmError('ERR_VM_BUSY', /runSync/))
})

kvmTest('a run that ends first: pause() resolves, and nothing is paused', async (t) => {
  for (let index = 0; index < 50; index++) {
    using vm = machine(guests.hello, [{ port: 0xe9, to: 'discard' }])
    const run = vm.run()
    if (index % 3 > 0) await turn()
    await vm.pause()
    if (!vm.paused) t.is((await run).reason, 'hlt')
    vm.resume()
    t.is((await run).reason, 'hlt')
    t.is(vm.registers().rax, 42n)
  }
})

/** Gives a play more time, until it has enough on a busy host. */
async function enough(
  t: ExecutionContext,
  timeoutMs: number,
  plays: (timeoutMs: number) => Promise<boolean>,
): Promise<void> {
  let ms = timeoutMs
  while (ms < 60_000 && !(await plays(ms))) ms *= 4
  t.true(ms < 60_000)
}

serialTest('the time of a pause does not count', async (t) => {
  /** Whether it was paused three times before its time was up. */
  const plays = async (timeoutMs: number): Promise<boolean> => {
    using vm = machine(guests.spin)
    const begin = performance.now()
    const run = vm.run({ timeoutMs })
    let pausedMs = 0
    let pauses = 0
    for (; pauses < 3; pauses++) {
      await sleep(timeoutMs / 10)
      await vm.pause()
      if (!vm.paused) break
      const from = performance.now()
      await sleep(timeoutMs)
      t.true(vm.paused)
      pausedMs += performance.now() - from
      vm.resume()
    }
    const { reason, durationMs } = await run
    t.is(reason, 'timeout')
    t.true(durationMs >= timeoutMs * 0.99, `${durationMs}`)
    t.true(durationMs <= performance.now() - begin - pausedMs + 1, `${durationMs}`)
    return pauses === 3
  }
  await enough(t, patient(100), plays)
})

serialTest('nor does it for handlers that finish after the end', async (t) => {
  /** Whether the guest and the handler had ended before the time was up. */
  const plays = async (timeoutMs: number): Promise<boolean> => {
    let finished = false
    let batches = 0
    const onBatch = async (): Promise<void> => {
      batches++
      await sleep(timeoutMs / 4)
      finished = true
    }
    // out %al,$0x62; jmp .; and later hlt
    using vm = machine('e6 62 ; out\n eb fe ; jmp .', [{ port: 0x62, to: 'queue', onBatch }])
    const run = vm.run({ timeoutMs })
    await until(() => vm.counters().routes[0]!.writes === 1 || !vm.running)
    await vm.pause()
    if (!vm.paused) return false
    await sleep(timeoutMs * 1.2)
    vm.memory.write(2, Uint8Array.of(0xf4, 0xf4))
    finished = false
    vm.setRegisters({ rip: 0n })
    vm.resume()
    if ((await run).reason === 'timeout') return false
    t.is((await run).reason, 'hlt')
    t.deepEqual([finished, batches], [true, 2])
    return true
  }
  await enough(t, patient(300), plays)
})

kvmTest('exits, time and output are those of the whole run', async (t) => {
  let vm: VirtualMachine | undefined
  const pauses: Promise<void>[] = []
  const write = async (): Promise<void> => {
    pauses.push(vm!.pause().then(() => vm!.resume()))
  }
  // A letter and a write, three times.
  const listing = 'b0 41 e6 e9 e6 11 ; A\n b0 42 e6 e9 e6 11 ; B\n b0 43 e6 e9 e6 11 f4 ; C'
  const routes: Route[] = [
    { port: 0xe9, to: 'console' },
    { port: 0x11, device: { write } },
  ]
  using made = machine(listing, routes)
  vm = made
  const { reason, exits, outputText, durationMs } = await vm.run()
  await Promise.all(pauses)
  t.deepEqual([reason, exits, outputText, pauses.length], ['hlt', 7, 'ABC', 3])
  t.true(durationMs > 0)
  t.deepEqual(vm.counters().exits.hlt, 1)
})

kvmTest('while it is paused no handler is called; what waits comes after resume()', async (t) => {
  const got: string[] = []
  const slow = promised()
  using vm = machine(
    // text, a queued write, an event, and then a spin
    'e6 e9 ; out\n e6 62 ; out\n e6 64 ; out\n e6 11 ; out\n eb fe ; jmp .',
    [
      { port: 0xe9, to: 'console', onData: () => void got.push('text') },
      { port: 0x62, to: 'queue', onBatch: () => void got.push('batch') },
      { port: 0x64, to: 'event', onEvent: () => void got.push('event') },
      { port: 0x11, device: { write: () => slow.promise as Promise<void> } },
    ],
  )
  // Between here and the pause nothing of JavaScript runs but the pump.
  const run = vm.run()
  const pause = vm.pause()
  await pause
  const before = [...got]
  await sleep(30)
  t.deepEqual(got, before)
  vm.resume()
  t.true(await until(() => got.length === 3))
  t.deepEqual(got.toSorted(), ['batch', 'event', 'text'])
  slow.settle()
  vm.stop()
  await run
})

kvmTest('a consumer that is at work stays the only one, through pause and attach()', async (t) => {
  let [atWork, most, writes] = [0, 0, 0]
  const gate = promised()
  const onBatch = async ({ length }: { length: number }): Promise<void> => {
    atWork++
    most = Math.max(most, atWork)
    writes += length
    await gate.promise
    atWork--
  }
  // 1: out %al,$0x62; dec %ecx; jnz 1b; jmp .
  const listing = 'b9 00 01 00 00 ; mov\n e6 62 ; 1:\n ff c9 ; dec\n 75 fa ; jnz\n eb fe ; jmp'
  using vm = machine(listing, [{ port: 0x62, to: 'queue', onBatch }])
  const run = vm.run()
  t.true(await until(() => atWork === 1))
  for (let index = 0; index < 5; index++) {
    await vm.pause()
    t.true(vm.paused)
    vm.attach({ port: 0x70 + index, to: 'discard' })
    vm.resume()
    await sleep(1)
  }
  gate.settle()
  t.true(await until(() => writes === 256))
  vm.stop()
  t.is((await run).reason, 'stopped')
  t.is(most, 1)
})

kvmTest('after the guest has ended there is nothing to pause', async (t) => {
  const gate = promised()
  const onBatch = (): Promise<void> => gate.promise as Promise<void>
  // out %al,$0x62; hlt
  using vm = machine('e6 62 f4 ;', [{ port: 0x62, to: 'queue', onBatch }])
  const run = vm.run()
  t.true(await until(() => vm.counters().exits.hlt === 1))
  await turn()
  await vm.pause()
  t.deepEqual([vm.paused, vm.running], [false, true])
  gate.settle()
  t.is((await run).reason, 'hlt')
})

/** Where a handler is asked, in the order in which the guest of `Asking` does it. */
const places = ['write', 'read', 'onExit, write', 'onExit, read', 'onData'] as const
type Place = (typeof places)[number]

/** A machine whose handlers note that they were asked, and wait at one place. */
class Asking {
  readonly asked: Place[] = []
  readonly answer = promised()
  readonly vm: VirtualMachine
  readonly #at: Place
  /** What the handler at that place does, if it does not wait. */
  instead: ((vm: VirtualMachine) => unknown) | undefined

  constructor(at: Place, vcpus = 1) {
    this.#at = at
    const listing = `
      e6 11 ; out %al,$0x11
      e4 10 ; in $0x10,%al
      88 c3 ; mov %al,%bl
      e6 21 ; out %al,$0x21
      e4 20 ; in $0x20,%al
      88 c7 ; mov %al,%bh
      e6 e9 ; out %al,$0xe9
      e6 11 ; out %al,$0x11
      f4    ; hlt
    `
    // Only the first vCPU asks.
    const others = '85 ff ; test %edi,%edi\n 74 02 ; jz 1f\n eb fe ; jmp .'
    const routes: Route[] = [
      {
        port: 0x10,
        device: { read: () => this.#ask('read', 0x11) as number },
      },
      { port: 0x11, device: { write: () => this.#ask('write') as undefined } },
      { port: 0xe9, to: 'console', onData: () => this.#ask('onData') as undefined },
    ]
    this.vm = machine(`${others}\n${listing}`, routes, { vcpus })
  }

  readonly onExit = (exit: { reason: string }): number =>
    this.#ask(exit.reason === 'pio-in' ? 'onExit, read' : 'onExit, write', 0x22) as number

  #ask(place: Place, value?: number): unknown {
    this.asked.push(place)
    if (place !== this.#at || this.asked.indexOf(place) < this.asked.length - 1) return value
    if (this.instead) return this.instead(this.vm) ?? value
    return this.answer.promise.then(() => value)
  }

  get isAsked(): boolean {
    return this.asked.includes(this.#at)
  }

  /** What a run without any pause comes to. */
  static readonly whole: Place[] = [...places, 'write']
}

for (const vcpus of [1, 2]) {
  for (const place of places) {
    const title = `${place}, ${vcpus} vCPUs`
    for (const when of ['before', 'during', 'after'] as const) {
      serialTest(`a promise that is open at a pause, settled ${when} it: ${title}`, async (t) => {
        const asking = new Asking(place, vcpus)
        const { asked, answer, onExit } = asking
        using vm = asking.vm
        const run = vm.run({ onExit, timeoutMs: 300_000 })
        t.true(await until(() => asking.isAsked))
        if (when === 'before') answer.settle()
        await vm.pause()
        t.true(vm.paused)
        const before = [...asked]
        if (when === 'during') answer.settle()
        await sleep(2)
        t.deepEqual(asked, before)
        vm.resume()
        await vm.pause()
        vm.resume()
        await sleep(1)
        if (when === 'after') answer.settle()
        const { reason, exits, vcpu } = await run
        t.deepEqual([reason, exits, vcpu], ['hlt', 7, 0])
        t.deepEqual(asked, Asking.whole)
        t.is(vm.registers().rbx, 0x2211n)
        t.is(vm.counters().routes[1]?.writes, 2)
      })
    }

    serialTest(`a handler that pauses and resumes: ${title}`, async (t) => {
      for (const isAsync of [false, true]) {
        const asking = new Asking(place, vcpus)
        using vm = asking.vm
        let paused: boolean | undefined
        const resume = (): void => {
          paused = vm.paused
          vm.resume()
        }
        asking.instead = () => {
          const pause = vm.pause().then(resume)
          return isAsync
            ? pause.then(() => (place.endsWith('read') ? valueAt(place) : undefined))
            : undefined
        }
        const run = vm.run({ onExit: asking.onExit, timeoutMs: 300_000 })
        const { reason, exits } = await run
        t.deepEqual([reason, exits, paused], ['hlt', 7, true])
        t.deepEqual(asking.asked, Asking.whole)
        t.is(vm.registers().rbx, 0x2211n)
      }
    })

    serialTest(`a promise that is rejected during a pause fails the run: ${title}`, async (t) => {
      const asking = new Asking(place, vcpus)
      using vm = asking.vm
      const run = vm.run({ onExit: asking.onExit, timeoutMs: 300_000 })
      t.true(await until(() => asking.isAsked))
      await vm.pause()
      asking.answer.reject(new Error('on purpose'))
      await sleep(1)
      t.deepEqual([vm.paused, vm.running], [true, true])
      vm.resume()
      await t.throwsAsync(run, vmError('ERR_HANDLER', /on purpose/))
      t.false(vm.running)
    })

    serialTest(`stop() of a paused run, with an open promise: ${title}`, async (t) => {
      const asking = new Asking(place, vcpus)
      using vm = asking.vm
      const run = vm.run({ onExit: asking.onExit, timeoutMs: 300_000 })
      t.true(await until(() => asking.isAsked))
      await vm.pause()
      const before = [...asking.asked]
      vm.stop()
      t.false(vm.paused)
      t.is((await run).reason, 'stopped')
      asking.answer.settle()
      t.deepEqual(asking.asked, before)
      // As after any stop: what a handler has seen of a write is done, and a read is asked again.
      t.is((await vm.run({ onExit: asking.onExit, timeoutMs: 300_000 })).reason, 'hlt')
      const again = place.endsWith('read') ? [place] : []
      const rest = Asking.whole.slice(before.length)
      t.deepEqual(asking.asked, [...before, ...again, ...rest])
      t.is(vm.registers().rbx, 0x2211n)
    })
  }
}

const valueAt = (place: Place): number => (place === 'read' ? 0x11 : 0x22)
