// Functions of ours that a native library calls.
import { setImmediate as turn } from 'node:timers/promises'

import { VmError } from '../src/index.ts'
import { GuestFault, GuestTimeout, type Library, instantiate } from '../src/process/index.ts'
import { type AnyLibrary, imageTest, unasked } from './helpers/library.ts'
import { nativeLibrary } from './helpers/native.ts'

const plain = () => nativeLibrary('plain')
const timeoutMs = 300_000

/** A test of `plain` with imports of its own, which may refer to the library. */
function importTest(
  title: string,
  imports: (lib: () => AnyLibrary) => Record<string, unknown>,
  body: (
    t: Parameters<Parameters<typeof imageTest>[2]>[0],
    lib: AnyLibrary,
  ) => Promise<void> | void,
  limit = timeoutMs,
): void {
  imageTest(title, plain, async (t, image) => {
    let lib: Library | undefined
    const given = { ...unasked, ...imports(() => lib!) } as typeof unasked
    lib = await instantiate(image, { timeoutMs: limit, imports: given })
    try {
      await body(t, lib)
    } finally {
      lib.close()
    }
  })
}

const visited: unknown[] = []
importTest(
  'an import is called with what the library passes, and its result is what that gets',
  () => ({
    visit: (...args: unknown[]) => (visited.push(args), 10),
    weigh: (...args: unknown[]) => (visited.push(args), 1.25),
  }),
  (t, lib) => {
    t.is(lib.exports.each(3), 30)
    t.is(lib.exports.ask(-5n), 2.5)
    t.is(lib.exports.by_pointer(-7), 10)
    t.deepEqual(visited, [
      [0, 0],
      [1, 0.5],
      [2, 1],
      ['a text', -5n, Math.fround(0.1)],
      [-7, -0],
    ])
  },
)

importTest(
  'its own signature says how it reads what the library passes',
  () => ({ weigh: ['f64(ptr, u64, f32)', (_: number, value: bigint) => Number(value)] }),
  (t, lib) => void t.is(lib.exports.ask(-1n), 2 * Number(2n ** 64n - 1n)),
)

for (const table of ['exports', 'async'] as const) {
  const failure = new Error('on purpose')
  importTest(
    `what an import throws is the cause of ERR_HANDLER (${table})`,
    () => ({
      visit: () => {
        throw failure
      },
    }),
    async (t, lib) => {
      const error = await t.throwsAsync(async () => lib[table].each(1), { instanceOf: VmError })
      t.like(error, { code: 'ERR_HANDLER', message: 'import visit failed: on purpose' })
      t.is(error?.cause, failure)
      t.throws(() => lib.exports.add(1, 2), { code: 'ERR_VM_BUSY' })
      lib.reset()
      t.is(lib.exports.add(1, 2), 3)
    },
  )

  importTest(
    `a wrong result names import and expectation (${table})`,
    () => ({ visit: () => 'x', weigh: () => 1n }),
    async (t, lib) => {
      const message = /^import visit: the result must be a whole number from -2147483648 to/
      await t.throwsAsync(async () => lib[table].each(1), { name: 'TypeError', message })
      lib.reset()
      await t.throwsAsync(async () => lib[table].ask(1n), { name: 'TypeError', message: /weigh/ })
    },
  )

  const asked: unknown[] = []
  importTest(
    `an import may not call the library, and may use its memory (${table})`,
    (lib) => ({
      visit: () => {
        for (const call of [() => lib().exports.add(1, 2), () => lib().reset()]) {
          try {
            call()
          } catch (error) {
            asked.push((error as VmError).code)
          }
        }
        lib()
          .async.add(1, 2)
          .catch((error: VmError) => asked.push(error.code))
        const at = lib().alloc(100_000)
        lib().memory.writeUint32(at + 99_996, 77)
        const value = lib().memory.readUint32(at + 99_996)
        lib().free(at)
        return value
      },
    }),
    async (t, lib) => {
      asked.length = 0
      t.is(await lib[table].each(1), 77)
      await turn()
      t.deepEqual(asked, ['ERR_VM_BUSY', 'ERR_VM_BUSY', 'ERR_VM_BUSY'])
      t.is(lib.exports.add(1, 2), 3)
    },
  )
}

importTest(
  'a promise is awaited by calls through async',
  () => ({ visit: async (index: number) => (await turn(), index * 2), weigh: async () => 3 }),
  async (t, lib) => {
    t.is(await lib.async.each(10), 90)
    t.is(await lib.async.ask(1n), 6)
  },
)

importTest(
  'a promise cannot be awaited by other calls',
  () => ({ visit: () => Promise.reject(new Error('of no concern')) }),
  (t, lib) => {
    const message = 'import visit returned a promise; call through lib.async'
    t.throws(() => lib.exports.each(1), { code: 'ERR_ASYNC_HANDLER', message })
    lib.reset()
    t.is(lib.exports.add(1, 2), 3)
  },
)

importTest(
  'a promise that is rejected is the cause of ERR_HANDLER',
  () => ({ visit: () => Promise.reject(new Error('later')) }),
  async (t, lib) => {
    const message = 'import visit failed: later'
    await t.throwsAsync(lib.async.each(1), { code: 'ERR_HANDLER', message })
  },
)

importTest(
  'a promise that never settles is part of the time',
  () => ({ visit: () => new Promise(() => undefined) }),
  async (t, lib) => {
    await t.throwsAsync(lib.async.each(1), { instanceOf: GuestTimeout })
    lib.reset()
    t.is(lib.exports.add(1, 2), 3)
  },
  100,
)

importTest(
  'a promise that never settles ends with the library',
  (lib) => ({
    visit: () => {
      setImmediate(() => lib().close())
      return new Promise(() => undefined)
    },
  }),
  async (t, lib) => {
    await t.throwsAsync(lib.async.each(1), { code: 'ERR_VM_CLOSED' })
    t.true(lib.closed)
  },
)

const hostile: Record<string, [signature: string, name: string]> = {
  'a string that is nowhere': ['f64(ptr, cstr, f32)', 'EFAULT'],
  'an address above 2^53 - 1': ['f64(ptr, ptr, f32)', 'ERANGE'],
}

for (const [title, [signature, name]] of Object.entries(hostile)) {
  importTest(
    `${title} is the fault of the library`,
    () => ({ weigh: [signature, () => 1] }),
    (t, lib) => {
      const error = t.throws(() => lib.exports.ask(-1n), { instanceOf: GuestFault })
      t.is(error?.name, name)
      t.regex(error!.message, /^import weigh: argument 2: the guest gave/)
      lib.reset()
      t.is(lib.exports.add(1, 2), 3)
    },
  )
}

const wrong: [title: string, imports: unknown, message: RegExp][] = [
  ['no imports', undefined, /^imports must have \w+, which the image asks for as "/],
  [
    'one of another name',
    { ...unasked, visit: undefined, visti: () => 0 },
    /imports.visit must be/,
  ],
  [
    'one that is missing',
    { weigh: () => 0, unheard: () => 0, visti: () => 0 },
    /did you mean visti\?$/,
  ],
  ['no function', { ...unasked, visit: 5 }, /^imports\.visit must be a function, or an array/],
  ['an array of one', { ...unasked, visit: ['i32()'] }, /^imports\.visit must be/],
  [
    'a signature that is none',
    { ...unasked, visit: ['i32', () => 0] },
    /^imports\.visit must be a signature/,
  ],
  [
    'too few parameters',
    { ...unasked, visit: ['i32(i32)', () => 0] },
    /but the image declares int\(int, double\)$/,
  ],
  [
    'registers of another kind',
    { ...unasked, visit: ['i32(f64, i32)', () => 0] },
    /but the image declares/,
  ],
  ['an array', [], /^imports must be an object/],
]

for (const [title, imports, message] of wrong) {
  imageTest(`imports with ${title} are refused`, plain, async (t, image) => {
    const options = { imports: imports as typeof unasked }
    await t.throwsAsync(instantiate(image, options), { code: 'ERR_INVALID_OPTION', message })
  })
}
