// How a library starts, what it may ask of its kernel, and the options that say so.
import { VmError } from '../src/index.ts'
import { GuestFault, GuestTimeout, instantiate } from '../src/process/index.ts'
import { imageTest, libraryTest, unasked } from './helpers/library.ts'
import { nativeImage, nativeLibrary, warnings } from './helpers/native.ts'

const timeoutMs = 300_000

const startsBy = (how: number) => () =>
  nativeImage(`starts-${how}`, {
    tool: 'musl-gcc',
    sources: ['starts.c'],
    options: ['-std=c11', '-O1', ...warnings, '-static', `-DVMEXIT_TEST_START=${how}`],
  })

imageTest('the start ends at the first pause()', startsBy(0), async (t, image) => {
  using lib = await instantiate(image, { timeoutMs })
  t.is(lib.exports.reached(), 1)
})

imageTest('the start may end by exit(0)', startsBy(2), async (t, image) => {
  using lib = await instantiate(image, { timeoutMs })
  t.is(lib.exports.reached(), 1)
})

imageTest('any other exit is a GuestFault', startsBy(1), async (t, image) => {
  const error = await t.throwsAsync(instantiate(image, { timeoutMs }), { instanceOf: GuestFault })
  t.like(error, { name: 'exit', exitCode: 3 })
  t.regex(error!.message, /^the start of the library: /)
})

imageTest('a fault in the start is a GuestFault', startsBy(3), async (t, image) => {
  const error = await t.throwsAsync(instantiate(image, { timeoutMs }), { instanceOf: GuestFault })
  t.like(error, { name: '#PF', address: 8n })
  t.is((error as GuestFault).explain().vector, 14)
})

imageTest('a start that takes too long is a GuestTimeout', startsBy(4), async (t, image) => {
  await t.throwsAsync(instantiate(image, { timeoutMs: 100 }), { instanceOf: GuestTimeout })
})

imageTest('abort() in the start is a GuestFault', startsBy(5), async (t, image) => {
  const error = await t.throwsAsync(instantiate(image, { timeoutMs }), { instanceOf: GuestFault })
  t.is(error?.name, 'SIGABRT')
})

for (const name of ['glibc', 'glibc-pie', 'musl', 'musl-returns'] as const) {
  libraryTest(`malloc, strings, sorting and mathematics of ${name}`, name, (t, lib) => {
    t.is(lib.exports.started(), '1 of none')
    t.is(lib.exports.hypotenuse(3, 4), 5)
    const at = lib.exports.capitals('from here')
    t.is(Buffer.from(lib.memory.read(at, 9)).toString(), 'FROM HERE')
    lib.exports.free(at)
    const numbers = Float64Array.of(3, -1, 2.5, 0)
    const values = lib.alloc(numbers.byteLength)
    lib.memory.write(values, new Uint8Array(numbers.buffer))
    lib.exports.sort(values, numbers.length)
    const sorted = lib.memory.read(values, numbers.byteLength)
    t.deepEqual([...new Float64Array(sorted.buffer)], [-1, 0, 2.5, 3])
    for (const bytes of [1, 1000, 1 << 20, 20 << 20]) {
      const block = lib.exports.malloc(bytes)
      t.true(block > 0)
      lib.memory.writeUint8(block + bytes - 1, 7)
      lib.exports.free(block)
    }
    // More than there is.
    t.is(lib.exports.malloc(1 << 30), 0)
  })

  const said: [number, string][] = []
  libraryTest(
    `what ${name} prints goes to onOutput`,
    name,
    (t, lib) => {
      said.length = 0
      t.is(lib.exports.say('hello'), 6)
      t.is(said.map(([, text]) => text).join(''), 'hello\n')
      t.true(said.every(([fd]) => fd === 1))
      t.is(lib.exports.say('x'.repeat(200_000)), 200_001)
      t.is(said.map(([, text]) => text).join('').length, 200_007)
    },
    { onOutput: (fd, bytes) => void said.push([fd, Buffer.from(bytes).toString()]) },
  )
}

libraryTest('what is printed is dropped if nothing asks for it', 'musl', (t, lib) => {
  t.is(lib.exports.say('hello'), 6)
})

libraryTest(
  'what onOutput throws is the cause of ERR_HANDLER',
  'musl',
  (t, lib) => {
    const error = t.throws(() => lib.exports.say('hello'), { instanceOf: VmError })
    t.like(error, { code: 'ERR_HANDLER', message: 'onOutput failed: full' })
    lib.reset()
    t.is(lib.exports.hypotenuse(3, 4), 5)
  },
  {
    onOutput: () => {
      throw new Error('full')
    },
  },
)

libraryTest(
  'a variadic function by a fixed signature',
  'musl',
  (t, lib) => {
    const [at, format] = [lib.alloc(64), 'i=%d d=%.2f s=%s']
    t.is(lib.exports.snprintf(at, 64, format, 42, 1.5, 'text'), 18)
    t.is(Buffer.from(lib.memory.read(at, 18)).toString(), 'i=42 d=1.50 s=text')
  },
  { exports: { snprintf: 'i32(ptr, usize, cstr, i32, f64, cstr)' } },
)

const plain = () => nativeLibrary('plain')

const wrong: [title: string, options: unknown, code: string, message: RegExp][] = [
  ['an option that is unknown', { timeoutMS: 5 }, 'ERR_INVALID_OPTION', /unknown 'timeoutMS'/],
  ['no object', 5, 'ERR_INVALID_OPTION', /^options must be an object/],
  ['a negative time', { timeoutMs: -1 }, 'ERR_INVALID_OPTION', /^timeoutMs must be/],
  ['a time that is text', { timeoutMs: '5' }, 'ERR_INVALID_OPTION', /^timeoutMs must be/],
  ['too little memory', { memoryBytes: 4096 }, 'ERR_INVALID_OPTION', /^memoryBytes must be/],
  ['a part of a byte', { memoryBytes: 2e6 + 0.5 }, 'ERR_INVALID_OPTION', /^memoryBytes must be/],
  ['another way to call', { calls: 'poll' }, 'ERR_INVALID_OPTION', /^calls must be one of/],
  ['spinMs without spinning', { spinMs: 1 }, 'ERR_INVALID_OPTION', /^spinMs needs calls/],
  ['a handler that is none', { onOutput: 5 }, 'ERR_INVALID_OPTION', /^onOutput must be a function/],
  ['exports that are no object', { exports: 'add' }, 'ERR_INVALID_OPTION', /^exports must be/],
  [
    'an export that is none',
    { exports: { add: 5 } },
    'ERR_INVALID_OPTION',
    /^exports\.add must be/,
  ],
  [
    'an export that the image lacks',
    { exports: { addd: 'i32(i32, i32)' }, imports: unasked },
    'ERR_INVALID_OPTION',
    /^exports\.addd: the image has no function of that name; did you mean add\?$/,
  ],
]

for (const [title, options, code, message] of wrong) {
  imageTest(`${title} is refused`, plain, async (t, image) => {
    const error = await t.throwsAsync(instantiate(image, options as never), { message })
    t.true(error instanceof VmError)
    t.is((error as VmError).code, code as VmError['code'])
  })
}
