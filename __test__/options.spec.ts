// Every option of machine and run, given wrongly: VmError, its code, and a message that names
// option, expectation and value. Nothing here needs /dev/kvm but the last tests.
import test from 'ava'
import { type ErrorCode, VirtualMachine, guests } from '../src/index.ts'
import { kvmTest, runKinds } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

type Row = [options: unknown, message: RegExp, code?: ErrorCode]

const payload = { image: new Uint8Array([0xf4]) }
const good = { mode: 'long', payload }

/** What is no whole number from `least` to `most`, and how messages show it. */
function notWhole(name: string, least: number, most: number): [value: unknown, message: RegExp][] {
  const values: [unknown, string][] = [
    ['1', '"1"'],
    [null, 'null'],
    [true, 'true'],
    [1n, '1n'],
    [{}, 'an object \\(Object\\)'],
    [[1], 'an array of 1'],
    [() => 1, 'a function'],
    [Symbol('x'), 'Symbol\\(x\\)'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [1.5, '1\\.5'],
    [least - 1, String(least - 1)],
    [most + 1, String(most + 1)],
  ]
  const what = `${name.replaceAll(/[[\].]/g, String.raw`\$&`)} must be a whole number from ${least} to ${most}`
  return values.map(([value, shown]) => [value, new RegExp(`^${what}, got ${shown}$`)])
}

/** Rows for one option, its values put in place by `put`. */
function rows(values: [unknown, RegExp][], put: (value: unknown) => unknown): Row[] {
  return values.map(([value, message]) => [put(value), message])
}

const withRoute = (route: object) => ({ ...good, routes: [{ port: 1, to: 'discard' }, route] })
const maxGpa = 2 ** 52 - 1

const groups: Record<string, Row[]> = {
  options: [
    [undefined, /^options must be an object, got undefined$/],
    [null, /^options must be an object, got null$/],
    [7, /^options must be an object, got 7$/],
    ['long', /^options must be an object, got "long"$/],
    [[], /^options must be an object, got an array of 0$/],
    [new Uint8Array(1), /^options must be an object, got an object \(Uint8Array\)$/],
    [{ ...good, memory: 1 }, /^options must be made of mode, .*pc, .*got .*unknown 'memory'/],
    [{ ...good, Mode: 'real' }, /unknown 'Mode'/],
  ],
  mode: [
    [{ payload }, /^mode must be given for a flat image, got none/],
    [{ payload: guests.hello }, /^mode must be given for an embedded guest, got none$/],
    [{ ...good, mode: 'Long' }, /^mode must be one of .*, got "Long"$/],
    [{ ...good, mode: 64 }, /^mode must be one of .*, got 64$/],
    [{ ...good, mode: null }, /^mode must be one of .*, got null$/],
    [{ ...good, mode: ['long'] }, /^mode must be one of .*, got an array of 1$/],
    [{ ...good, mode: 'x'.repeat(99) }, /^mode must be one of .*, got "x{60}…"$/],
  ],
  privilege: [
    [{ ...good, privilege: 'root' }, /^privilege must be one of "kernel", "user", got "root"$/],
    [{ ...good, privilege: 3 }, /^privilege must be one of .*, got 3$/],
    ...['real', 'protected', 'paged32'].map((mode): Row => {
      const message = new RegExp(`^privilege 'user' needs mode 'long', got mode '${mode}'$`)
      return [{ mode, payload, privilege: 'user' }, message]
    }),
  ],
  vcpus: [
    ...rows(notWhole('vcpus', 1, 2 ** 32 - 1), (vcpus) => ({ ...good, vcpus })),
    [{ ...good, vcpus: 65 }, /^vcpus must be 1 to 64, got 65$/, 'ERR_LIMIT'],
  ],
  irqchip: [
    [{ ...good, irqchip: 1 }, /^irqchip must be true or false, got 1$/],
    [{ ...good, irqchip: null }, /^irqchip must be true or false, got null$/],
  ],
  memoryBytes: [
    ...rows(notWhole('memoryBytes', 1, maxGpa), (memoryBytes) => ({
      ...good,
      memoryBytes,
    })),
    [{ ...good, memoryBytes: 4095 }, /^memoryBytes must be a positive multiple of 4096, got 4095$/],
    [
      { ...good, memoryBytes: 2 ** 21 + 1 },
      /^memoryBytes must be a positive multiple of 4096, got 2097153$/,
    ],
    [
      { ...good, memoryBytes: 3 * 2 ** 30 + 4096 },
      /^memoryBytes must be at most 3221225472 \(3 GiB\), got 3221229568; .*slots/,
      'ERR_LIMIT',
    ],
  ],
  slots: [
    [{ ...good, slots: {} }, /^slots must be an array, got an object \(Object\)$/],
    [{ ...good, slots: 'x' }, /^slots must be an array, got "x"$/],
    [{ ...good, slots: [null] }, /^slots\[0\] must be an object, got null$/],
    [{ ...good, slots: [{ gpa: 2 ** 32, bytes: 4096, size: 1 }] }, /^slots\[0\] .*unknown 'size'/],
    ...rows(notWhole('slots[0].gpa', 0, maxGpa), (gpa) => ({
      ...good,
      slots: [{ gpa, bytes: 4096 }],
    })),
    ...rows(notWhole('slots[0].bytes', 1, maxGpa), (bytes) => ({
      ...good,
      slots: [{ gpa: 2 ** 32, bytes }],
    })),
    [
      { ...good, slots: [{ gpa: 2 ** 32, bytes: 4096, readOnly: 1 }] },
      /^slots\[0\]\.readOnly must be true or false, got 1$/,
    ],
    [
      { ...good, slots: [{ gpa: 2 ** 32 + 1, bytes: 4096 }] },
      /^slots\[0\]\.gpa must be a multiple of 4096, got 0x100000001$/,
    ],
    [
      { ...good, slots: [{ gpa: 2 ** 32, bytes: 5000 }] },
      /^slots\[0\]\.bytes must be a positive multiple of 4096, got 5000$/,
    ],
    [{ ...good, slots: [{ gpa: 0x1f_f000, bytes: 8192 }] }, /^slots\[0\] overlaps memoryBytes$/],
    [
      {
        ...good,
        slots: [
          { gpa: 2 ** 32 + 4096, bytes: 4096 },
          { gpa: 2 ** 32, bytes: 8192 },
        ],
      },
      /^slots\[0\] overlaps slots\[1\]$/,
    ],
    [
      { ...good, slots: [{ gpa: 0xfdff_f000, bytes: 8192 }] },
      /^slots\[0\] \(0xfdfff000\.\.0xfe001000\) overlaps the reserved range 0xfe000000\.\.0xff000000$/,
    ],
    [
      { ...good, slots: [{ gpa: 2 ** 39, bytes: 4096 }] },
      /^slots\[0\] must end at or below 0x8000000000, got/,
      'ERR_LIMIT',
    ],
    [
      {
        ...good,
        slots: Array.from({ length: 17 }, (_, index) => ({
          gpa: 2 ** 32 + index * 4096,
          bytes: 4096,
        })),
      },
      /^slots: at most 16, got 17$/,
      'ERR_LIMIT',
    ],
  ],
  payload: [
    [{ mode: 'long' }, /^payload must be an object, got undefined$/],
    [{ ...good, payload: 'hello' }, /^payload must be an object, got "hello"$/],
    [
      { ...good, payload: new Uint8Array([0xf4]) },
      /^payload must be an object, got an object \(Uint8Array\)$/,
    ],
    [{ ...good, payload: {} }, /^payload\.image must be a Uint8Array, got undefined$/],
    [
      { ...good, payload: { image: [0xf4] } },
      /^payload\.image must be a Uint8Array, got an array of 1$/,
    ],
    [
      { ...good, payload: { image: new ArrayBuffer(1) } },
      /^payload\.image must be a Uint8Array, got an object \(ArrayBuffer\)$/,
    ],
    [
      { ...good, payload: { image: new Uint16Array(1) } },
      /^payload\.image must be a Uint8Array, got an object \(Uint16Array\)$/,
    ],
    [
      { ...good, payload: { ...payload, load: 1 } },
      /^payload must be made of image, format, .*files, got .*unknown 'load'/,
    ],
    ...rows(notWhole('payload.loadGpa', 0, maxGpa), (loadGpa) => ({
      ...good,
      payload: { ...payload, loadGpa },
    })),
    ...rows(notWhole('payload.entryGpa', 0, maxGpa), (entryGpa) => ({
      ...good,
      payload: { ...payload, entryGpa },
    })),
    [
      { ...good, payload: { image: new Uint8Array(0) } },
      /^payload\.image must not be empty, got 0 bytes$/,
      'ERR_PAYLOAD',
    ],
    [
      { ...good, memoryBytes: 4096, payload: { image: new Uint8Array(4097) } },
      /^payload: 4097 bytes at loadGpa 0x0 do not fit into memory of 4096 bytes; raise memoryBytes or move loadGpa$/,
      'ERR_PAYLOAD',
    ],
    [
      { ...good, payload: { image: new Uint8Array(2), loadGpa: 0x1f_ffff } },
      /^payload: 2 bytes at loadGpa 0x1fffff do not fit/,
      'ERR_PAYLOAD',
    ],
    [
      { ...good, payload: { ...payload, loadGpa: 0x20_0000 } },
      /^payload: 1 bytes at loadGpa 0x200000 do not fit/,
      'ERR_PAYLOAD',
    ],
    [
      { ...good, payload: { ...payload, entryGpa: 0x20_0000 } },
      /^payload\.entryGpa must lie in the payload's slot 0x0\.\.0x200000, got 0x200000$/,
      'ERR_PAYLOAD',
    ],
    [
      {
        ...good,
        slots: [{ gpa: 2 ** 32, bytes: 4096 }],
        payload: { ...payload, entryGpa: 2 ** 32 },
      },
      /^payload\.entryGpa must lie in the payload's slot 0x0\.\.0x200000, got 0x100000000$/,
      'ERR_PAYLOAD',
    ],
    [
      { mode: 'real', payload: { ...payload, entryGpa: 0x10_0000 } },
      /^payload\.entryGpa must be below 0x100000 in mode 'real', got 0x100000$/,
      'ERR_PAYLOAD',
    ],
    [{ mode: 'paged32', payload: guests.count }, /'count'.*'paged32'/, 'ERR_PAYLOAD'],
    [
      { mode: 'long', privilege: 'user', payload: guests.tripleFault },
      /'triple-fault'.*user/,
      'ERR_PAYLOAD',
    ],
  ],
  routes: [
    [{ ...good, routes: {} }, /^routes must be an array, got an object \(Object\)$/],
    [{ ...good, routes: [7] }, /^routes\[0\] must be an object, got 7$/],
    [withRoute({ port: 2 }), /^routes\[1\]\.to must be one of "console", .*, got undefined$/],
    [withRoute({ port: 2, to: 'screen' }), /^routes\[1\]\.to must be one of .*, got "screen"$/],
    [
      withRoute({ to: 'discard' }),
      /^routes\[1\] must be given exactly one of port and gpa, got "neither"$/,
    ],
    [
      withRoute({ port: 2, gpa: 2 ** 32, to: 'discard' }),
      /^routes\[1\] must be given exactly one of port and gpa, got "both"$/,
    ],
    [
      withRoute({ port: 2, to: 'discard', value: 1 }),
      /^routes\[1\] must be made of .*unknown 'value'/,
    ],
    [
      withRoute({ port: 2, to: 'console', device: {} }),
      /^routes\[1\] must be made of .*unknown 'device'/,
    ],
    ...rows(
      notWhole('routes[1].port', 0, 0xffff).filter(([value]) => value !== undefined),
      (port) => withRoute({ port, to: 'discard' }),
    ),
    ...rows(notWhole('routes[1].gpa', 0, maxGpa), (gpa) => withRoute({ gpa, to: 'discard' })),
    ...rows(notWhole('routes[1].length', 1, 2 ** 32), (length) =>
      withRoute({ port: 2, length, to: 'discard' }),
    ),
    [
      withRoute({ port: 0xffff, length: 2, to: 'discard' }),
      /^routes\[1\]\.length must be 1 to 4294967296 and end at or below 0x10000, got 2 from 0xffff$/,
    ],
    [
      withRoute({ gpa: 2 ** 39, to: 'discard' }),
      /^routes\[1\]\.length must .*end at or below 0x8000000000, got 1 from 0x8000000000$/,
    ],
    [
      withRoute({ gpa: 2 ** 38, length: 2 ** 32 + 1, to: 'discard' }),
      /^routes\[1\]\.length must be a whole number from 1 to 4294967296/,
    ],
    [
      { ...good, routes: Array.from({ length: 257 }, (_, port) => ({ port, to: 'discard' })) },
      /^routes: at most 256, got 257$/,
      'ERR_LIMIT',
    ],
  ],
  'routes that overlap': [
    [
      withRoute({ port: 1, to: 'count' }),
      /^routes\[1\] \(port 0x1\) overlaps routes\[0\] \(port 0x1\)$/,
    ],
    [
      withRoute({ port: 0, length: 2, to: 'count' }),
      /^routes\[1\] \(port 0x0\.\.=0x1\) overlaps routes\[0\] \(port 0x1\)$/,
    ],
    [
      {
        ...good,
        routes: [
          { gpa: 0xd000_0000, length: 0x100, to: 'count' },
          { gpa: 0xd000_0200, to: 'count' },
          { gpa: 0xd000_00ff, length: 0x100, to: 'count' },
        ],
      },
      /^routes\[2\] \(gpa 0xd00000ff\.\.=0xd00001fe\) overlaps routes\[0\] \(gpa 0xd0000000\.\.=0xd00000ff\)$/,
    ],
    [
      withRoute({ gpa: 0x1f_ffff, length: 2, to: 'count' }),
      /^routes\[1\] \(gpa 0x1fffff\.\.=0x200000\) overlaps guest memory 0x0\.\.0x200000, where no access exits$/,
    ],
    [
      { ...withRoute({ gpa: 2 ** 32, to: 'count' }), slots: [{ gpa: 2 ** 32, bytes: 4096 }] },
      /^routes\[1\] \(gpa 0x100000000\) overlaps guest memory 0x100000000\.\.0x100001000/,
    ],
    [
      withRoute({ gpa: 0xfe00_1000, to: 'count' }),
      /^routes\[1\] \(gpa 0xfe001000\) overlaps guest memory 0xfe000000\.\.0xfec00000/,
    ],
  ],
  'targets of routes': [
    [
      withRoute({ port: 2, to: 'console', onData: 'x' }),
      /^routes\[1\]\.onData must be a function, got "x"$/,
    ],
    [
      withRoute({ port: 2, to: 'constant' }),
      /^routes\[1\]\.value must be a whole number or bigint from 0 to 2\^64 - 1, got undefined$/,
    ],
    ...(
      [
        [-1, '-1'],
        [1.5, '1\\.5'],
        [Number.NaN, 'NaN'],
        [2 ** 53, '9007199254740992'],
        [-1n, '-1n'],
        [2n ** 64n, '18446744073709551616n'],
        ['1', '"1"'],
      ] as const
    ).map(([value, shown]): Row => [
      withRoute({ port: 2, to: 'constant', value }),
      new RegExp(`^routes\\[1\\]\\.value must be .*, got ${shown}$`),
    ]),
    [
      withRoute({ port: 2, to: 'device' }),
      /^routes\[1\]\.device must be an object with read or write, got undefined$/,
    ],
    [
      withRoute({ port: 2, device: null }),
      /^routes\[1\]\.device must be an object with read or write, got null$/,
    ],
    [
      withRoute({ port: 2, device: {} }),
      /^routes\[1\]\.device must be an object with read or write, got an object \(Object\)$/,
    ],
    [
      withRoute({ port: 2, device: { read: 5 } }),
      /^routes\[1\]\.device\.read must be a function, got 5$/,
    ],
    [
      withRoute({ port: 2, device: { read: () => 0, write: 'x' } }),
      /^routes\[1\]\.device\.write must be a function, got "x"$/,
    ],
  ],
}

const revoked = Proxy.revocable({}, {})
revoked.revoke()
/** An array that says it is longer than any list of ours. */
const endless = Object.assign([], { length: 2 ** 32 - 1 })

groups['arrays and objects of no use'] = [
  // oxlint-disable-next-line no-sparse-arrays
  [
    // oxlint-disable-next-line no-sparse-arrays
    { ...good, routes: [{ port: 1, to: 'discard' }, , { port: 2, to: 'discard' }] },
    hollow('routes'),
  ],
  // oxlint-disable-next-line no-sparse-arrays
  [{ ...good, slots: [{ gpa: 2 ** 32, bytes: 4096 }, ,] }, hollow('slots')],
  // oxlint-disable-next-line no-sparse-arrays
  [{ ...good, payload: { ...payload, modules: [payload, ,] } }, hollow('payload.modules')],
  [{ ...good, routes: endless }, /^routes: at most 256, got 4294967295$/, 'ERR_LIMIT'],
  [{ ...good, slots: endless }, /^slots: at most 16, got 4294967295$/, 'ERR_LIMIT'],
  [
    { ...good, payload: { ...payload, modules: endless } },
    /^payload\.modules: at most 64, got 4294967295$/,
    'ERR_LIMIT',
  ],
  [revoked.proxy, /^options must be an object, got an object that cannot be shown$/],
  [{ ...good, routes: revoked.proxy }, /^routes must be an array, got an object that cannot/],
  [
    { ...good, mode: revoked.proxy },
    /^mode must be one of .*, got an object that cannot be shown$/,
  ],
  [
    { ...good, payload: Object.create(Object.getPrototypeOf(guests.hello)) },
    /^payload\.image must be a Uint8Array, got undefined$/,
  ],
]

/** The message about the second item of an array that has none. */
function hollow(name: string): RegExp {
  return new RegExp(
    `^${name.replace('.', String.raw`\.`)}\\[1\\] must be an object, got undefined$`,
  )
}

for (const [group, table] of Object.entries(groups)) {
  test(`a machine's ${group}, given wrongly`, (t) => {
    for (const [options, message, code = 'ERR_INVALID_OPTION'] of table) {
      const make = (): unknown => new VirtualMachine(options as never)
      const error = t.throws(make, vmError(code, message), `expected ${String(message)}`)
      t.true(error === undefined || !error.message.includes('\n'))
    }
  })
}

const signal = 'must be an AbortSignal'
const ms = 'must be a number of milliseconds from 0 to 4294967295'
/** Options of a run; `run` takes one more than `runSync`. */
const runTable: [options: unknown, message: RegExp][] = [
  [null, /^options must be an object, got null$/],
  [1000, /^options must be an object, got 1000$/],
  [[], /^options must be an object, got an array of 0$/],
  [{ timeout: 5 }, /^options must be made of timeoutMs, onExit.*got .*unknown 'timeout'/],
  [{ timeoutMs: '5' }, new RegExp(`^timeoutMs ${ms}, got "5"$`)],
  [{ timeoutMs: null }, new RegExp(`^timeoutMs ${ms}, got null$`)],
  [{ timeoutMs: 5n }, new RegExp(`^timeoutMs ${ms}, got 5n$`)],
  [{ timeoutMs: Number.NaN }, new RegExp(`^timeoutMs ${ms}, got NaN$`)],
  [{ timeoutMs: -1 }, new RegExp(`^timeoutMs ${ms}, got -1$`)],
  [{ timeoutMs: Number.POSITIVE_INFINITY }, new RegExp(`^timeoutMs ${ms}, got Infinity$`)],
  [{ timeoutMs: 2 ** 32 }, new RegExp(`^timeoutMs ${ms}, got 4294967296$`)],
  [{ onExit: {} }, /^onExit must be a function, got an object \(Object\)$/],
  [{ onExit: false }, /^onExit must be a function, got false$/],
]
const signalTable: [options: unknown, message: RegExp][] = [
  [{ signal: {} }, new RegExp(`^signal ${signal}, got an object \\(Object\\)$`)],
  [
    { signal: new AbortController() },
    new RegExp(`^signal ${signal}, got an object \\(AbortController\\)$`),
  ],
  [{ signal: 'now' }, new RegExp(`^signal ${signal}, got "now"$`)],
  [
    { signal: Object.create(AbortSignal.prototype) },
    new RegExp(`^signal ${signal}, got an object \\(AbortSignal\\)$`),
  ],
]

kvmTest('the options of a run, given wrongly', async (t) => {
  using vm = machine('f4 ; hlt')
  for (const [options, message] of runTable) {
    const expected = vmError('ERR_INVALID_OPTION', message)
    t.throws(() => vm.runSync(options as never), expected)
    await t.throwsAsync(vm.run(options as never), expected)
  }
  for (const [options, message] of signalTable) {
    await t.throwsAsync(vm.run(options as never), vmError('ERR_INVALID_OPTION', message))
  }
  const { signal: aborting } = new AbortController()
  const unknown = vmError('ERR_INVALID_OPTION', /unknown 'signal'/)
  t.throws(() => vm.runSync({ signal: aborting } as never), unknown)
  // None of them ran anything.
  t.is(vm.registers().rip, 0n)
  t.false(vm.running)
  t.is((await runKinds.run(vm)).reason, 'hlt')
})

kvmTest('the largest and the smallest of every range are taken', async (t) => {
  using small = machine('f4 ; hlt', [], { memoryBytes: 4096 })
  t.is((await runKinds.runSync(small)).reason, 'hlt')
  using large = machine(
    'f4 ; hlt',
    [
      { port: 0, length: 0x1_0000, to: 'discard' },
      { gpa: 2 ** 38, length: 2 ** 32, to: 'constant', value: 2n ** 64n - 1n },
    ],
    {
      memoryBytes: 3 * 2 ** 30,
      slots: Array.from({ length: 16 }, (_, index) => ({
        gpa: 2 ** 32 + index * 8192,
        bytes: 4096,
      })),
    },
  )
  t.is(large.runSync({ timeoutMs: 2 ** 32 - 1 }).reason, 'hlt')
})

kvmTest('defaults are taken for undefined', async (t) => {
  using vm = machine('f4 ; hlt', [], {
    privilege: undefined,
    memoryBytes: undefined,
    slots: undefined,
  } as never)
  t.is(vm.memory.buffer.byteLength, 2 * 1024 * 1024)
  const options = { timeoutMs: undefined, onExit: undefined, signal: undefined }
  t.is((await vm.run(options as never)).reason, 'hlt')
})

/**
 * An object whose properties count how often they are read; what is read again is something else.
 */
function readOnce(options: object): { counting: object; reads: Map<string, number> } {
  const reads = new Map<string, number>()
  const counting = {}
  for (const [name, value] of Object.entries(options)) {
    const get = (): unknown => {
      const count = (reads.get(name) ?? 0) + 1
      reads.set(name, count)
      return count === 1 ? value : Symbol('read again')
    }
    Object.defineProperty(counting, name, { get, enumerable: true })
  }
  return { counting, reads }
}

kvmTest('every option is read once', async (t) => {
  const all: Map<string, number>[] = []
  const once = <T>(options: object): T => {
    const { counting, reads } = readOnce(options)
    all.push(reads)
    return counting as T
  }
  const routes = [
    once({ port: 1, length: 1, to: 'console', onData: () => undefined }),
    once({ port: 2, to: 'constant', value: 1 }),
    once({ port: 3, to: 'queue', onBatch: () => undefined, value: 1 }),
    once({ port: 4, to: 'event', onEvent: () => undefined, datamatch: 1, size: 1 }),
    once({ gpa: 2 ** 33, device: { read: () => 0 } }),
  ]
  using vm = new VirtualMachine(
    once({
      mode: 'long',
      privilege: 'kernel',
      memoryBytes: 2 ** 21,
      slots: [once({ gpa: 2 ** 32, bytes: 4096, readOnly: false })],
      payload: once({ ...payload, format: 'flat', loadGpa: 0, entryGpa: 0 }),
      routes,
      vcpus: 1,
      irqchip: false,
      serial: false,
      pc: false,
    }),
  )
  vm.setRegisters(once({ rax: 1n, rip: 0n }))
  vm.setSpecialRegisters(
    once({
      cr2: 1n,
      fs: once({ base: 1n, limit: 1, avl: true }),
      idt: once({ base: 0n, limit: 0 }),
    }),
  )
  const { signal: never } = new AbortController()
  const options = { timeoutMs: 60_000, onExit: () => 0, timeKvmRun: false }
  t.is(vm.runSync(once(options)).reason, 'hlt')
  vm.setRegisters({ rip: 0n })
  t.is((await vm.run(once({ ...options, signal: never }))).reason, 'hlt')
  t.is(all.length, 14)
  for (const reads of all) t.deepEqual([...new Set(reads.values())], [1], [...reads].join(' '))
})

kvmTest('a signal counts as it is, whatever is defined over it', async (t) => {
  using vm = machine('eb fe ; jmp .')
  const controller = new AbortController()
  const odd = (): never => {
    throw new Error('not asked')
  }
  const { signal: covered } = controller
  for (const name of ['aborted', 'reason']) Object.defineProperty(covered, name, { get: odd })
  Object.assign(covered, { addEventListener: odd, removeEventListener: odd })
  setTimeout(() => controller.abort('enough'), 20)
  t.is(await vm.run({ signal: covered, timeoutMs: 60_000 }).catch(String), 'enough')
  t.is(await vm.run({ signal: covered }).catch(String), 'enough')
  t.false(vm.running)
})
