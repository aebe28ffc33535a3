// Handlers that fail, wait, misbehave or start something of their own: a result or a coded error,
// and a machine that can be used again.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'

import {
  type AccessExit,
  type ExitAnswer,
  type RunSyncOptions,
  type VirtualMachine,
  guests,
} from '../src/index.ts'
import { serialTest, serialTestBoth } from './fixtures/serial.ts'
import { until } from './fixtures/until.ts'
import { runKinds } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

/** A time in which a guest comes to its handlers on every host. */
const longMs = 60_000

/** One access for each kind of handler; RBX gathers what the two reads gave. */
const accesses = `
  e4 10 ; in $0x10,%al
  88 c3 ; mov %al,%bl
  e6 11 ; out %al,$0x11
  e4 20 ; in $0x20,%al
  88 c7 ; mov %al,%bh
  e6 21 ; out %al,$0x21
  e6 e9 ; out %al,$0xe9
  f4    ; 1: hlt
  eb fd ; jmp 1b
`

const places = ['read', 'write', 'onExit, read', 'onExit, write', 'onData'] as const
type Place = (typeof places)[number]
/** What handlers return when they behave. */
const values: Readonly<Record<Place, unknown>> = {
  read: 0x11,
  write: undefined,
  'onExit, read': 0x22,
  'onExit, write': undefined,
  onData: undefined,
}
/** A write and a text that a handler has seen are done; a read without a value is asked again. */
const asksAgain = (place: Place): boolean => place.endsWith('read')

/** A machine all of whose handlers can be made to misbehave. */
class Rig {
  readonly asked: Place[] = []
  /** What the handlers at some places do instead. */
  readonly instead: Partial<Record<Place, (vm: VirtualMachine) => unknown>> = {}
  readonly vm: VirtualMachine

  constructor(listing = accesses) {
    const read = (): never => this.#ask('read') as never
    const write = (): unknown => this.#ask('write')
    this.vm = machine(listing, [
      { port: 0x10, device: { read } },
      { port: 0x11, device: { write } },
      { port: 0xe9, to: 'console', onData: () => this.#ask('onData') },
    ])
  }

  readonly onExit = ({ reason }: AccessExit) =>
    this.#ask(reason === 'pio-in' ? 'onExit, read' : 'onExit, write') as ExitAnswer

  /** The options of a run. */
  get options(): RunSyncOptions {
    return { onExit: this.onExit }
  }

  #ask(place: Place): unknown {
    this.asked.push(place)
    const instead = this.instead[place]
    return instead ? instead(this.vm) : values[place]
  }
}

/** All places in their order, `place` twice if its handler is asked again. */
const asked = (place: Place, twice = asksAgain(place)): Place[] =>
  places.flatMap((one) => (one === place && twice ? [one, one] : [one]))

/** A run whose handler at a place never settles, with a time that is long enough to come there. */
async function neverSettling(place: Place, leastMs: number) {
  for (let timeoutMs = leastMs; ; timeoutMs *= 4) {
    const rig = new Rig()
    const late: ((value: unknown) => void)[] = []
    rig.instead[place] = () => new Promise((resolve) => late.push(resolve))
    const controller = new AbortController()
    const run = rig.vm.run({ ...rig.options, timeoutMs, signal: controller.signal })
    const isThere = (): boolean =>
      late.length === 1 && (place !== 'onData' || rig.vm.counters().exits.hlt === 1)
    const begun = { rig, late, run, controller, isThere }
    if (leastMs > longMs) return begun
    await run
    if (isThere() || timeoutMs > longMs) return begun
    rig.vm.close()
  }
}

for (const place of places) {
  serialTestBoth(
    `${place} throws: ERR_HANDLER with the very same cause, then usable`,
    async (t, run) => {
      const rig = new Rig()
      const cause = new RangeError('too far')
      rig.instead[place] = () => {
        throw cause
      }
      const error = await t.throwsAsync(run(rig.vm, rig.options), vmError('ERR_HANDLER', /too far/))
      t.is(error?.cause, cause)
      t.regex(error?.message ?? '', /^(device\.(read|write) of routes|onData of routes|onExit)/)
      t.false(rig.vm.running)
      delete rig.instead[place]
      t.is((await run(rig.vm, rig.options)).reason, 'hlt')
      t.deepEqual(rig.asked, asked(place))
      t.is(rig.vm.registers().rbx, 0x2211n)
      rig.vm.close()
    },
  )

  serialTest(`${place} rejects: ERR_HANDLER with the very same cause, then usable`, async (t) => {
    for (const delay of [() => undefined, turn]) {
      const rig = new Rig()
      const cause = new RangeError('too far')
      rig.instead[place] = async () => {
        await delay()
        throw cause
      }
      const error = await t.throwsAsync(rig.vm.run(rig.options), vmError('ERR_HANDLER', /too far/))
      t.is(error?.cause, cause)
      delete rig.instead[place]
      t.is((await rig.vm.run(rig.options)).reason, 'hlt')
      t.deepEqual(rig.asked, asked(place))
      t.is(rig.vm.registers().rbx, 0x2211n)
      rig.vm.close()
    }
  })

  serialTest(
    `${place} returns a promise under runSync: ERR_ASYNC_HANDLER, then usable`,
    async (t) => {
      const promises = [
        () => Promise.resolve(values[place]),
        () => Promise.reject(new Error('unheard')),
        () => new Promise(() => undefined),
      ]
      for (const promise of promises) {
        const rig = new Rig()
        rig.instead[place] = promise
        const expected = vmError('ERR_ASYNC_HANDLER', /returned a promise.*use run\(\)/)
        t.throws(() => rig.vm.runSync(rig.options), expected)
        delete rig.instead[place]
        t.is(rig.vm.runSync(rig.options).reason, 'hlt')
        t.deepEqual(rig.asked, asked(place))
        rig.vm.close()
      }
      // Were a rejection unhandled, it would be reported by now.
      await turn()
    },
  )

  serialTest(`${place} never settles: timeoutMs, stop() and a signal end the run`, async (t) => {
    // After its text the guest halts, so that run has its exit already.
    const ended = place === 'onData' ? 'hlt' : undefined
    for (const end of ['timeout', 'stop', 'abort'] as const) {
      const timeoutMs = end === 'timeout' ? 250 : 600_000
      const { rig, late, run, controller, isThere } = await neverSettling(place, timeoutMs)
      if (end === 'timeout') t.is((await run).reason, ended ?? 'timeout')
      else {
        t.true(await until(isThere))
        if (end === 'stop') {
          rig.vm.stop()
          t.is((await run).reason, ended ?? 'stopped')
        } else {
          controller.abort('enough')
          t.is(await run.catch(String), 'enough')
        }
      }
      t.false(rig.vm.running)
      for (const one of places) {
        rig.instead[one] = () => {
          // An answer to the first run's question must not be taken for one to this run's.
          for (const resolve of late) resolve(0x77)
          return turn(values[one])
        }
      }
      t.is((await rig.vm.run(rig.options)).reason, 'hlt')
      t.deepEqual(rig.asked, asked(place))
      t.is(rig.vm.registers().rbx, 0x2211n)
      rig.vm.close()
    }
  })

  serialTestBoth(
    `${place} starts its own machine again: ERR_VM_BUSY, and the run goes on`,
    async (t, run) => {
      const rig = new Rig()
      const codes: unknown[] = []
      rig.instead[place] = (vm) => {
        t.throws(() => vm.runSync(), vmError('ERR_VM_BUSY'))
        void vm.run()
        vm.run().catch((error: { code: string }) => codes.push(error.code))
        return values[place]
      }
      t.is((await run(rig.vm, rig.options)).reason, 'hlt')
      await turn()
      t.deepEqual(codes, ['ERR_VM_BUSY'])
      t.deepEqual(rig.asked, [...places])
      rig.vm.close()
    },
  )

  serialTestBoth(`${place} lets ERR_VM_BUSY out: ERR_HANDLER with that cause`, async (t, run) => {
    const rig = new Rig()
    rig.instead[place] = (vm) => vm.runSync()
    const error = await t.throwsAsync(run(rig.vm, rig.options), vmError('ERR_HANDLER'))
    t.like(error?.cause, { code: 'ERR_VM_BUSY' })
    if (run === runKinds.run) {
      rig.instead[place] = (vm) => vm.run()
      const again = await rig.vm.run(rig.options).then(({ reason }) => reason, Object)
      // A write and a text are not asked about again, so nothing fails a second time.
      if (asksAgain(place)) t.like(again, { code: 'ERR_HANDLER', cause: { code: 'ERR_VM_BUSY' } })
      else t.is(again, 'hlt')
    }
    rig.vm.close()
  })

  serialTestBoth(
    `${place} runs another machine with runSync, whose handlers answer too`,
    async (t, run) => {
      const rig = new Rig()
      rig.instead[place] = () => {
        const inner = new Rig()
        inner.instead.read = () => 0x33
        t.is(inner.vm.runSync(inner.options).reason, 'hlt')
        t.is(inner.vm.registers().rbx, 0x2233n)
        inner.vm.close()
        return values[place]
      }
      t.is((await run(rig.vm, rig.options)).reason, 'hlt')
      t.deepEqual(rig.asked, [...places])
      t.is(rig.vm.registers().rbx, 0x2211n)
      rig.vm.close()
    },
  )

  serialTest(`${place} awaits the run of another machine`, async (t) => {
    const rig = new Rig()
    rig.instead[place] = async () => {
      const inner = new Rig()
      inner.instead.read = async () => turn(0x33)
      t.is((await inner.vm.run(inner.options)).reason, 'hlt')
      t.is(inner.vm.registers().rbx, 0x2233n)
      inner.vm.close()
      return values[place]
    }
    t.is((await rig.vm.run(rig.options)).reason, 'hlt')
    t.deepEqual(rig.asked, [...places])
    t.is(rig.vm.registers().rbx, 0x2211n)
    rig.vm.close()
  })
}

const wrong: Readonly<Record<string, unknown>> = {
  undefined,
  null: null,
  NaN,
  '1.5': 1.5,
  Infinity,
  '2^53': 2 ** 53,
  '2^64': 2n ** 64n,
  '-2^63 - 1': -(2n ** 63n) - 1n,
  'a string': '7',
  'an object': {},
  'an array': [7],
  true: true,
  'a symbol': Symbol('seven'),
  'a function': () => 7,
  'too many bytes': new Uint8Array(2),
  'no bytes': new Uint8Array(0),
  'a revoked proxy': revoked(),
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

for (const place of ['read', 'onExit, read'] as const) {
  serialTestBoth(`${place} returns the wrong type: ERR_HANDLER, then usable`, async (t, run) => {
    const rig = new Rig()
    for (const [name, value] of Object.entries(wrong)) {
      rig.instead[place] = () => value
      const error = await t.throwsAsync(run(rig.vm, rig.options), vmError('ERR_HANDLER'), name)
      if (name === 'NaN') t.regex(error?.message ?? '', /must return a whole number.*got NaN/)
    }
    delete rig.instead[place]
    t.is((await run(rig.vm, rig.options)).reason, 'hlt')
    t.is(rig.vm.registers().rbx, 0x2211n)
    rig.vm.close()
  })

  serialTest(`${place} resolves to the wrong type: ERR_HANDLER, then usable`, async (t) => {
    const rig = new Rig()
    for (const [name, value] of Object.entries(wrong)) {
      // A promise cannot be resolved with it: looking for `then` throws.
      if (name === 'a revoked proxy') continue
      rig.instead[place] = async () => value
      await t.throwsAsync(rig.vm.run(rig.options), vmError('ERR_HANDLER'), name)
    }
    delete rig.instead[place]
    t.is((await rig.vm.run(rig.options)).reason, 'hlt')
    t.is(rig.vm.registers().rbx, 0x2211n)
    rig.vm.close()
  })
}

serialTestBoth('what writes and texts return does not matter', async (t, run) => {
  for (const value of Object.values(wrong).slice(0, -1)) {
    const rig = new Rig()
    for (const place of ['write', 'onExit, write', 'onData'] as const) {
      rig.instead[place] = () => value
    }
    t.is((await run(rig.vm, rig.options)).reason, 'hlt')
    t.deepEqual(rig.asked, [...places])
    rig.vm.close()
  }
})

serialTestBoth('whatever is thrown is the cause', async (t, run) => {
  const hostile = new Error('x')
  Object.defineProperty(hostile, 'message', {
    get() {
      throw new Error('no message for you')
    },
  })
  const odd = Object.assign(new Error('x'), { message: Symbol('odd') })
  const thrown = [
    undefined,
    null,
    0,
    'text',
    Symbol('s'),
    Object.freeze({}),
    hostile,
    odd,
    revoked(),
  ]
  const rig = new Rig()
  for (const cause of thrown) {
    rig.instead.read = () => {
      throw cause
    }
    const error = await t.throwsAsync(run(rig.vm, rig.options), vmError('ERR_HANDLER', /failed: /))
    t.true(Object.is(error?.cause, cause))
  }
  delete rig.instead.read
  t.is((await run(rig.vm, rig.options)).reason, 'hlt')
  rig.vm.close()
})

serialTest('thenables that are no promises', async (t) => {
  const rig = new Rig()
  type Settle = (value: unknown) => void
  const thenables: Record<string, (resolve: Settle, reject: Settle) => void> = {
    'settles at once': (resolve) => resolve(0x11),
    'settles twice': (resolve) => {
      resolve(0x11)
      resolve(0x99)
    },
    'settles, then throws': (resolve) => {
      resolve(0x11)
      throw new Error('too late')
    },
    'settles both ways, later': (resolve, reject) =>
      void setTimeout(() => {
        resolve(0x11)
        reject(new Error('too late'))
      }, 1),
  }
  for (const [name, then] of Object.entries(thenables)) {
    // oxlint-disable-next-line unicorn/no-thenable
    rig.instead.read = () => ({ then })
    rig.vm.setRegisters({ rip: 0n, rbx: 0n })
    t.is((await rig.vm.run(rig.options)).reason, 'hlt', name)
    t.is(rig.vm.registers().rbx, 0x2211n, name)
  }
  rig.instead.read = () => ({
    // oxlint-disable-next-line unicorn/no-thenable
    then() {
      throw new Error('no then')
    },
  })
  rig.vm.setRegisters({ rip: 0n })
  await t.throwsAsync(rig.vm.run(rig.options), vmError('ERR_HANDLER', /no then/))
  rig.vm.close()
})

const textThenSpin = `
  b0 41 ; mov $0x41,%al
  e6 e9 ; out %al,$0xe9
  eb fe ; jmp .
`

serialTestBoth('onData throws while the guest spins: the run ends at once', async (t, run) => {
  const rig = new Rig(textThenSpin)
  const cause = new Error('no text wanted')
  rig.instead.onData = () => {
    throw cause
  }
  const error = await t.throwsAsync(run(rig.vm), vmError('ERR_HANDLER', /onData of routes\[2\]/))
  t.is(error?.cause, cause)
  t.is((await run(rig.vm, { timeoutMs: 80 })).reason, 'timeout')
  t.deepEqual(rig.asked, ['onData'])
  rig.vm.close()
})

serialTest('onData never settles while the guest spins: timeoutMs ends the run', async (t) => {
  const rig = new Rig(textThenSpin)
  rig.instead.onData = () => new Promise(() => undefined)
  // On a busy host the guest may not have begun by then.
  for (let timeoutMs = 150; rig.asked.length === 0 && timeoutMs < longMs; timeoutMs *= 4)
    t.is((await rig.vm.run({ timeoutMs })).reason, 'timeout')
  t.deepEqual(rig.asked, ['onData'])
  rig.vm.close()
})

serialTest(
  'onData gets what a stopped run has left, and its late rejection is nobody else’s',
  async (t) => {
    const rig = new Rig(textThenSpin)
    let rejectLater: (error: Error) => void = () => undefined
    rig.instead.onData = () => new Promise((_, reject) => (rejectLater = reject))
    // Before the first tick, so the text is handed over when the run has ended.
    const runOnce = async (): Promise<unknown> =>
      t.is((await rig.vm.run({ timeoutMs: 10 })).reason, 'timeout')
    t.true(await until(() => rig.asked.length > 0, undefined, runOnce))
    const next = rig.vm.run({ timeoutMs: 50 })
    rejectLater(new Error('late'))
    t.is((await next).reason, 'timeout')
    rig.vm.close()
  },
)

serialTestBoth('a failure belongs to its run alone', async (t, run) => {
  const rig = new Rig()
  for (let index = 0; index < 20; index++) {
    rig.instead.read = () => {
      throw new Error(`failure ${index}`)
    }
    const message = new RegExp(`failure ${index}$`)
    await t.throwsAsync(run(rig.vm, rig.options), vmError('ERR_HANDLER', message))
  }
  delete rig.instead.read
  t.is((await run(rig.vm, rig.options)).reason, 'hlt')
  rig.vm.close()
})

serialTestBoth('machines in handlers of machines, twenty deep', async (t, run) => {
  const deeper = (depth: number): number => {
    using vm = machine(guests.ask, [
      { port: 0x61, device: { read: () => (asks++ === 0 ? depth : 0xffff_ffff) } },
      {
        port: 0x62,
        device: {
          write(_offset, _size, value) {
            sum = Number(value) + (depth > 0 ? deeper(depth - 1) : 0)
          },
        },
      },
    ])
    let [asks, sum] = [0, 0]
    t.is(vm.runSync().reason, 'hlt')
    return sum
  }
  const rig = new Rig()
  rig.instead.write = () => t.is(deeper(20), 231)
  t.is((await run(rig.vm, rig.options)).reason, 'hlt')
  t.is(rig.vm.registers().rbx, 0x2211n)
  rig.vm.close()
})

serialTest('a machine in a handler of itself without end: an error, no crash', (t) => {
  let depth = 0
  const machines: VirtualMachine[] = []
  const deeper = (): void => {
    depth++
    const vm = machine('e6 10 f4 ; out %al,$0x10; hlt', [{ port: 0x10, device: { write: deeper } }])
    machines.push(vm)
    vm.runSync()
  }
  const error = t.throws(deeper, { any: true }) as Error | undefined
  t.true(depth > 20, `${depth} deep: ${error?.message}`)
  for (const vm of machines) vm.close()
  using vm = machine(guests.hello, [{ port: 0xe9, to: 'console' }])
  t.is(vm.runSync().outputText, 'Hello, world!\n')
})

serialTest('time passes for the outer run while its handler runs another machine', async (t) => {
  for (const run of Object.values(runKinds)) {
    // On a busy host the time may be up before the handler is asked.
    for (let timeoutMs = 40, isAsked = false; !isAsked && timeoutMs < longMs; timeoutMs *= 4) {
      const rig = new Rig()
      using inner = machine(guests.spin)
      rig.instead.write = () => {
        t.is(inner.runSync({ timeoutMs: 3 * timeoutMs }).reason, 'timeout')
      }
      t.is((await run(rig.vm, { ...rig.options, timeoutMs })).reason, 'timeout')
      isAsked = rig.asked.includes('write')
      delete rig.instead.write
      t.is((await run(rig.vm, rig.options)).reason, 'hlt')
      if (isAsked) t.deepEqual(rig.asked, [...places])
      rig.vm.close()
    }
  }
  await sleep(0)
})

serialTestBoth('a method that is a getter may run another machine first', async (t, run) => {
  // mov %rax,(%rbx); mov (%rbx),%rcx: 8 bytes each, then 2 bytes from port 0x12.
  const outer = '48 89 03 48 8b 0b 66 e5 12 66 e7 12 f4 ;'
  const gpa = 2 ** 33
  const seen: unknown[] = []
  const between = (): void => {
    using inner = machine('e4 77 e6 77 f4 ;', [
      { port: 0x70, length: 16, device: { read: () => 1, write: () => undefined } },
    ])
    t.is(inner.runSync().reason, 'hlt')
  }
  const device = {
    get read() {
      between()
      return (...access: unknown[]) => seen.push(access) && 0x1122
    },
    get write() {
      between()
      return (...access: unknown[]) => void seen.push(access)
    },
  }
  using vm = machine(outer, [
    { gpa, length: 16, device },
    { port: 0x10, length: 4, device },
  ])
  vm.setRegisters({ rax: 0x1122_3344_5566_7788n, rbx: BigInt(gpa) + 8n })
  t.is((await run(vm)).reason, 'hlt')
  t.deepEqual(seen, [
    [8, 8, 0x1122_3344_5566_7788n, 0],
    [8, 8, 0],
    [2, 2, 0],
    [2, 2, 0x1122, 0],
  ])
  t.is(vm.registers().rcx, 0x1122n)
})

serialTest('a thenable whose then throws is a promise under runSync(), too', (t) => {
  const rig = new Rig()
  rig.instead.read = () => ({
    // oxlint-disable-next-line unicorn/no-thenable
    then() {
      throw new Error('no then')
    },
  })
  t.throws(() => rig.vm.runSync(rig.options), vmError('ERR_ASYNC_HANDLER'))
  rig.vm.close()
})

/** `rep insb` of three bytes from port 0x20 to 0x600. */
const threeBytes = 'bf 00 06 00 00 b9 03 00 00 00 66 ba 20 00 f3 6c f4 ;'

serialTestBoth('onExit may change the record that it gets', async (t, run) => {
  using vm = machine(threeBytes)
  const onExit = (exit: AccessExit): ExitAnswer => {
    Object.assign(exit, { reason: 'pio-out', size: 4, count: 7 })
    return Uint8Array.of(1, 2, 3)
  }
  t.is((await run(vm, { onExit })).reason, 'hlt')
  t.deepEqual(vm.memory.read(0x600, 4), Uint8Array.of(1, 2, 3, 0))
})

serialTestBoth('onExit gives bytes of any realm, as many as they really are', async (t, run) => {
  const lying = Object.defineProperty(new Uint8Array(2), 'length', { value: 3 })
  const heir = Object.create(Uint8Array.prototype, { length: { value: 3 } })
  const answers: [unknown, RegExp | undefined][] = [
    [runInNewContext('Uint8Array.of(1, 2, 3)'), undefined],
    [new Uint8Array(new SharedArrayBuffer(3)), undefined],
    [lying, /must return 3 bytes \(size times count\), got 2$/],
    [heir, /must return a whole number or a bigint of 64 bits, got an object/],
  ]
  for (const [answer, message] of answers) {
    for (const later of run === runKinds.run ? [false, true] : [false]) {
      using vm = machine(threeBytes)
      const onExit = (): ExitAnswer => (later ? turn(answer) : answer) as ExitAnswer
      const ran = run(vm, { onExit })
      if (message) await t.throwsAsync(ran, vmError('ERR_HANDLER', message))
      else t.is((await ran).reason, 'hlt')
    }
  }
})
