// A machine as data: what a definition may say, what becomes of it, and where it finds its files.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import {
  type MachineDefinition,
  VirtualMachine,
  type VirtualMachineOptions,
  VmError,
  fromDefinition,
  guests,
} from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'

// A name that a URL writes otherwise.
const folder = mkdtempSync(join(tmpdir(), 'vmexit definition %20-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return name
}

const hlt = file('hlt.bin', Uint8Array.of(0xf4))

/** Any definition, however it was written. */
const options = (
  definition: unknown,
  base: string | URL = folder,
): Promise<VirtualMachineOptions> => fromDefinition(definition as MachineDefinition, { base })

async function refused(t: ExecutionContext, definition: unknown, base = folder): Promise<VmError> {
  const error = await t.throwsAsync(options(definition, base), { instanceOf: VmError })
  return error!
}

const hello = { payload: { guest: 'hello' } }

kvmTestBoth('a definition that says nothing else runs an embedded guest', async (t, run) => {
  const routes = [{ port: '0xe9', to: 'console' }]
  using vm = new VirtualMachine(await options({ mode: 'long', ...hello, routes }))
  const { reason, outputText } = await run(vm)
  t.deepEqual([reason, outputText, vm.registers().rax], ['hlt', 'Hello, world!\n', 42n])
})

test('every embedded guest has its name', async (t) => {
  for (const guest of Object.values(guests)) {
    t.is((await options({ payload: { guest: guest.name } })).payload, guest)
  }
})

test('keys become options of the same name, and what is not there has no key', async (t) => {
  const all = {
    $schema: './machine.schema.json',
    version: 1,
    name: 'web-1.test_2',
    mode: 'long',
    privilege: 'user',
    memoryBytes: 0x40_0000,
    slots: [{ gpa: '0x100000000', bytes: '4096', readOnly: true }],
    vcpus: 2,
    irqchip: true,
    serial: false,
    pc: false,
    ...hello,
    routes: [
      { port: 0xe9, to: 'console' },
      { gpa: '0xd0000000', length: '0x1000', to: 'constant', value: '0xffffffffffffffff' },
      { port: '96', to: 'constant', value: 7 },
    ],
    manager: { autostart: true },
  }
  const before = structuredClone(all)
  t.deepEqual(await options(all), {
    mode: 'long',
    privilege: 'user',
    memoryBytes: 0x40_0000,
    slots: [{ gpa: 0x1_0000_0000, bytes: 4096, readOnly: true }],
    vcpus: 2,
    irqchip: true,
    serial: false,
    pc: false,
    payload: guests.hello,
    routes: [
      { port: 0xe9, to: 'console' },
      { gpa: 0xd000_0000, length: 0x1000, to: 'constant', value: 2n ** 64n - 1n },
      { port: 96, to: 'constant', value: 7n },
    ],
  })
  t.deepEqual(all, before)
  t.deepEqual(Object.keys(await options({ ...hello, mode: undefined })), ['payload'])
})

kvmTest('a file is loaded where the definition says', async (t) => {
  //  0  hlt; 1: mov al, 9; 3: out 0xf4, al
  file('entry.bin', Uint8Array.of(0xf4, 0xb0, 0x09, 0xe6, 0xf4))
  const payload = { file: 'entry.bin', format: 'flat', loadGpa: '0x7c00', entryGpa: 0x7c01 }
  const routes = [{ port: '0xf4', to: 'stop' }]
  using vm = new VirtualMachine(await options({ mode: 'real', payload, routes }))
  t.is(vm.runSync({ timeoutMs: 300_000 }).exitCode, 9)
})

kvmTest('modules and command line reach a multiboot kernel', async (t) => {
  const [magic, flags, gpa] = [0x1bad_b002, 0x1_0000, 0x10_0000]
  const header = [magic, flags, -(magic + flags), gpa, gpa, 0, 0, gpa + 32]
  const bytes = new Uint8Array(Uint32Array.from(header).buffer)
  file('kernel', Uint8Array.of(...bytes, 0xf4))
  file('first', 'one')
  file('second', 'two!')
  const modules = [{ file: 'first', string: 'a b' }, { file: join(folder, 'second') }]
  const payload = { file: './kernel', cmdline: 'quiet', modules }
  using vm = new VirtualMachine(await options({ payload }))
  const { format, parts } = vm.loaded
  t.is(format, 'multiboot')
  const found = parts.filter(({ what }) => what === 'module')
  t.deepEqual(
    found.map(({ gpa: at, bytes: length }) => String(Buffer.from(vm.memory.read(at, length)))),
    ['one', 'two!'],
  )
})

test('an initrd is read, too', async (t) => {
  file('initrd', 'cpio')
  const { payload } = await options({ payload: { file: hlt, format: 'pvh', initrd: 'initrd' } })
  t.deepEqual(payload, {
    image: Uint8Array.of(0xf4),
    format: 'pvh',
    initrd: new Uint8Array(Buffer.from('cpio')),
  })
})

test('relative paths begin at the base: a path, a file: URL, of a file its folder', async (t) => {
  mkdirSync(join(folder, 'sub'), { recursive: true })
  const url = pathToFileURL(folder)
  const bases = [
    folder,
    `${folder}/`,
    relative('.', folder),
    url,
    url.href,
    new URL(`${url.href}/`),
    join(folder, hlt),
    pathToFileURL(join(folder, hlt)).href,
  ]
  for (const base of bases) {
    const { payload } = await options({ payload: { file: hlt } }, base)
    t.deepEqual(payload, { image: Uint8Array.of(0xf4) }, String(base))
  }
  const up = await options({ payload: { file: `../${hlt}` } }, join(folder, 'sub'))
  t.deepEqual(up.payload, { image: Uint8Array.of(0xf4) })
  const path = join(relative('.', folder), hlt)
  t.deepEqual((await fromDefinition({ payload: { file: path } })).payload, up.payload)
})

test('a base that is none is refused; one that is not there is named with the file', async (t) => {
  const wrong = [5, null, '', 'a\0b', {}, 'file://elsewhere/x', 'file:///a%00b', 'file:///a%2fb']
  for (const base of wrong) {
    const error = await t.throwsAsync(fromDefinition(hello, { base } as never))
    t.regex(error.message, /^base must be a folder's path or a file: URL, got /, String(base))
  }
  await t.throwsAsync(fromDefinition(hello, { bsae: '.' } as never), { message: /'bsae'/ })
  const error = await refused(t, { payload: { file: hlt } }, join(folder, 'nowhere'))
  t.true(error.message.includes(join(folder, 'nowhere', hlt)), error.message)
})

test('links are followed, and a file that is not there is named with its errno', async (t) => {
  symlinkSync(hlt, join(folder, 'link'))
  symlinkSync('loop', join(folder, 'loop'))
  t.deepEqual((await options({ payload: { file: 'link' } })).payload, {
    image: Uint8Array.of(0xf4),
  })
  const absent: [string, number][] = [
    ['nothing', 2],
    ['loop', 40],
    [`${hlt}/x`, 20],
    ['x'.repeat(300), 36],
  ]
  for (const [name, errno] of absent) {
    const places = [
      ['payload.file', { file: name }],
      ['payload.initrd', { file: hlt, initrd: name }],
      ['payload.modules[1].file', { file: hlt, modules: [{ file: hlt }, { file: name }] }],
    ] as const
    for (const [place, payload] of places) {
      const error = await refused(t, { payload })
      t.like(error, { code: 'ERR_PAYLOAD', errno, call: 'stat' })
      t.true(error.message.startsWith(`cannot read ${place}: E`), error.message)
      t.true(error.message.includes(join(folder, name)), error.message)
    }
  }
})

test('what is no file is refused at once, and not waited for', async (t) => {
  const pipe = join(folder, 'pipe')
  if (spawnSync('mkfifo', [pipe]).status !== 0) symlinkSync('/dev/tty', pipe)
  for (const path of [pipe, '/dev/zero', '/dev/tty', folder]) {
    for (const payload of [{ file: path }, { file: hlt, initrd: path }]) {
      const { code, message } = await refused(t, { payload })
      t.deepEqual([code, message.endsWith(`'${path}' is no regular file`)], ['ERR_PAYLOAD', true])
    }
    const { code, message } = await refused(t, { ...hello, module: path })
    t.deepEqual(
      [code, message],
      ['ERR_INVALID_OPTION', `cannot read module: '${path}' is no regular file`],
    )
  }
  file('empty', '')
  for (const path of ['empty', '/proc/version']) {
    const { code, message } = await refused(t, { payload: { file: path } })
    t.is(code, 'ERR_PAYLOAD')
    t.regex(message, /^payload\.file must not be empty: '/)
  }
})

test('files are bounded before they are read, all of them together', async (t) => {
  const most = native.limits().maxReadBytes
  // Holes: nothing is stored.
  truncateSync(join(folder, file('huge', '')), most + 1)
  truncateSync(join(folder, file('large', '')), most)
  const { code, message } = await refused(t, { payload: { file: 'huge' } })
  t.is(code, 'ERR_LIMIT')
  t.true(message.startsWith(`payload.file: at most ${most} bytes`), message)
  const both = await refused(t, { payload: { file: hlt, initrd: 'large' } })
  t.deepEqual([both.code, both.message.includes(`'${join(folder, 'large')}'`)], ['ERR_LIMIT', true])
})

const unknown: [definition: string, message: string][] = [
  ['{"payload":{"guest":"hello"},"mdoe":"long"}', 'mdoe is no known key; did you mean mode?'],
  ['{"payload":{"fiel":"x"}}', 'payload.fiel is no known key; did you mean file?'],
  [
    '{"payload":{"foo":1}}',
    'payload.foo is no known key; known are guest, file, format, loadGpa, entryGpa, cmdline, initrd, modules',
  ],
  ['{"payload":{"file":"x","modules":[{"fil":"y"}]}}', 'payload.modules[0].fil is no known key'],
  ['{"routes":[{"prot":1}]}', 'routes[0].prot is no known key; did you mean port?'],
  ['{"routes":[{"port":1,"to":"count","onData":1}]}', 'routes[0].onData is no known key'],
  ['{"slots":[{},{"size":1}]}', 'slots[0].gpa must be a whole number'],
  ['{"slots":[{"gap":1}]}', 'slots[0].gap is no known key; did you mean gpa?'],
  ['{"__proto__":{"payload":{"guest":"hello"}}}', '__proto__ is no known key'],
  ['{"payload":{"__proto__":{"guest":"hello"}}}', 'payload.__proto__ is no known key'],
  ['{"constructor":1}', 'constructor is no known key'],
  ['{"routes":[{"toString":1}]}', 'routes[0].toString is no known key'],
  ['{"":1}', '[""] is no known key'],
  ['{"payload":{"a b\\n":1}}', 'payload["a b\\n"] is no known key'],
]

test('an unknown key is named by its path, with the one that was probably meant', async (t) => {
  for (const [text, message] of unknown) {
    const error = await refused(t, JSON.parse(text))
    t.is(error.code, 'ERR_INVALID_OPTION')
    t.true(error.message.startsWith(message), `${text}: ${error.message}`)
  }
  const { message } = await refused(t, { [`${'x'.repeat(1e7)}`]: 1 })
  t.true(message.length < 300)
})

const address = "a whole number from 0 to 4503599627370495, or a string such as '0x1000'"
const wrong: [definition: object, message: string][] = [
  [{}, 'payload must be an object, got undefined'],
  [{ payload: null }, 'payload must be an object, got null'],
  [{ payload: 'hello' }, 'payload must be an object, got "hello"'],
  [{ payload: [] }, 'payload must be an object, got an array of 0'],
  [{ payload: {} }, 'payload must be given exactly one of guest and file, got "neither"'],
  [{ payload: { guest: 'hello', file: 'x' } }, 'payload must be given exactly one of guest'],
  [{ payload: { guest: 'helo' } }, 'payload.guest must be one of "ask", '],
  [{ payload: { guest: 'hello', loadGpa: 0 } }, 'payload.loadGpa goes with payload.file only'],
  [{ payload: { file: 5 } }, 'payload.file must be a path without NUL, got 5'],
  [{ payload: { file: '' } }, 'payload.file must be a path without NUL, got ""'],
  [{ payload: { file: 'a\0b' } }, 'payload.file must be a path without NUL, got "a\\u0000b"'],
  [{ payload: { file: 'x', entryGpa: '2M' } }, `payload.entryGpa must be ${address}, got "2M"`],
  [{ payload: { file: 'x', modules: {} } }, 'payload.modules must be an array, got an object'],
  [{ payload: { file: 'x', modules: [{}] } }, 'payload.modules[0].file must be a path'],
  [{ payload: { file: 'x', cmdline: 1 } }, 'payload.cmdline must be a string, got 1'],
  [{ ...hello, version: 2 }, 'version must be 1, got 2'],
  [{ ...hello, version: '1' }, 'version must be 1, got "1"'],
  [{ ...hello, name: '.hidden' }, 'name must be up to 63 letters, digits, ., _ and -'],
  [{ ...hello, name: 'a/b' }, 'name must be up to 63 letters'],
  [{ ...hello, name: 'a\n' }, 'name must be up to 63 letters'],
  [{ ...hello, name: 'x'.repeat(64) }, 'name must be up to 63 letters'],
  [
    { ...hello, mode: 'logn' },
    'mode must be one of "real", "protected", "paged32", "long", got "logn"',
  ],
  [{ ...hello, mode: 64 }, 'mode must be one of "real", "protected", "paged32", "long", got 64'],
  [{ ...hello, privilege: null }, 'privilege must be one of "kernel", "user", got null'],
  [{ ...hello, memoryBytes: 1.5 }, 'memoryBytes must be a whole number from 1 to'],
  [{ ...hello, memoryBytes: Number.NaN }, 'memoryBytes must be a whole number from 1 to'],
  [{ ...hello, memoryBytes: 2n }, 'memoryBytes must be a whole number from 1 to'],
  [{ ...hello, memoryBytes: JSON.parse('1e999') }, 'memoryBytes must be a whole number'],
  [{ ...hello, vcpus: '2' }, 'vcpus must be a whole number from 1 to 4294967295, got "2"'],
  [{ ...hello, vcpus: -1 }, 'vcpus must be a whole number from 1 to 4294967295, got -1'],
  [{ ...hello, pc: 'yes' }, 'pc must be true or false, got "yes"'],
  [{ ...hello, slots: [[]] }, 'slots[0] must be an object, got an array of 0'],
  [{ ...hello, routes: 'x' }, 'routes must be an array, got "x"'],
  [{ ...hello, routes: [undefined] }, 'routes[0] must be an object, got undefined'],
  [{ ...hello, routes: [{ port: 1 }] }, 'routes[0].to must be one of "console", "constant"'],
  [{ ...hello, routes: [{ port: 1, to: 'queue' }] }, 'routes[0].to must be one of "console"'],
  [{ ...hello, routes: [{ to: 'stop' }] }, 'routes[0] must be given exactly one of port and gpa'],
  [{ ...hello, routes: [{ port: 1, gpa: 1, to: 'stop' }] }, 'routes[0] must be given exactly one'],
  [{ ...hello, routes: [{ port: 1, to: 'constant' }] }, 'routes[0].value must be a whole number'],
  [
    { ...hello, routes: [{ port: 1, to: 'count', value: 1 }] },
    'routes[0].value goes with routes[0].to "constant" only',
  ],
  [{ ...hello, module: 5 }, 'module must be a path without NUL, got 5'],
]

test('a wrong value is told with its path, what it must be, and what it is', async (t) => {
  for (const [definition, message] of wrong) {
    const error = await refused(t, definition)
    t.is(error.code, 'ERR_INVALID_OPTION')
    t.true(error.message.startsWith(message), `${message}: ${error.message}`)
  }
  for (const definition of [undefined, null, 5, 'x', [], () => 0, new Uint8Array(1)]) {
    t.regex((await refused(t, definition)).message, /^the definition must be an object, got /)
  }
  const { message } = await refused(t, { ...hello, routes: [{ port: 1, to: 'consle' }] })
  t.true(message.endsWith('got "consle"; did you mean console?'), message)
})

const numbers: [text: unknown, value: number | undefined][] = [
  ['0', 0],
  [0, 0],
  [-0, 0],
  ['0x0', 0],
  ['65535', 65_535],
  ['0xFfFf', 65_535],
  ['0x000000000000ffff', 65_535],
  [65_535, 65_535],
  ['65536', undefined],
  ['0x10000', undefined],
  [65_536, undefined],
  ['0xffffffffffffffff', undefined],
  ['00', undefined],
  ['0x', undefined],
  ['0X1', undefined],
  [' 1', undefined],
  ['1\n', undefined],
  ['+1', undefined],
  ['-1', undefined],
  ['1e3', undefined],
  ['1_000', undefined],
  ['١', undefined],
  ['', undefined],
  [`0x${'0'.repeat(30)}1`, undefined],
  ['9'.repeat(1e6), undefined],
  [2 ** 53, undefined],
]

test('numbers are whole: numbers of JSON, or strings in decimal or hexadecimal digits', async (t) => {
  for (const [port, value] of numbers) {
    const definition = { ...hello, routes: [{ port, to: 'stop' }] }
    if (value === undefined) {
      t.regex((await refused(t, definition)).message, /^routes\[0\]\.port must be a whole number/)
    } else {
      t.like(await options(definition), { routes: [{ port: value, to: 'stop' }] }, String(port))
    }
  }
  const value = (text: unknown) =>
    options({ ...hello, routes: [{ port: 1, to: 'constant', value: text }] })
  t.like(await value('18446744073709551615'), { routes: [{ value: 2n ** 64n - 1n }] })
  await t.throwsAsync(value('18446744073709551616'))
  await t.throwsAsync(value(2 ** 53))
})

test('more than a limit allows is ERR_LIMIT', async (t) => {
  const { maxRoutes, maxSlots, maxModules } = native.limits()
  const many = (count: number): unknown[] => Array.from({ length: count + 1 }, () => ({}))
  const cases = [
    { ...hello, routes: many(maxRoutes) },
    { ...hello, slots: many(maxSlots) },
    { payload: { file: hlt, modules: many(maxModules) } },
  ]
  for (const definition of cases) t.is((await refused(t, definition)).code, 'ERR_LIMIT')
})

test('what is ignored is not looked at, and what is inherited is not there', async (t) => {
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  t.deepEqual(Object.keys(await options({ ...hello, manager: deep, $schema: deep })), ['payload'])
  const trap = { get: () => t.fail(), ownKeys: () => [] }
  await options({ ...hello, manager: new Proxy({}, trap) })
  const inherited = Object.assign(Object.create({ module: '/nonexistent.mjs', pc: true }), hello)
  t.deepEqual(Object.keys(await options(inherited)), ['payload'])
  t.deepEqual(Object.keys(await options(Object.assign(Object.create(null), hello))), ['payload'])
})

test('each key is read once: what is checked is what counts', async (t) => {
  let reads = 0
  const payload = {
    get file() {
      reads += 1
      return reads === 1 ? hlt : '/dev/zero'
    },
  }
  t.like(await options({ payload }), { payload: { image: Uint8Array.of(0xf4) } })
  t.is(reads, 1)
  const thrown = new Error('mine')
  const getter = Object.defineProperty({}, 'payload', {
    enumerable: true,
    get: () => {
      throw thrown
    },
  })
  t.is(await t.throwsAsync(options(getter)), thrown)
})

test('two calls at once do not meet, and each reads anew', async (t) => {
  file('changing', 'a')
  const definition = { payload: { file: 'changing' } }
  const [one, two] = await Promise.all([options(definition), options(definition)])
  t.deepEqual(one, two)
  file('changing', 'b')
  t.notDeepEqual(await options(definition), one)
})

test('what the machine refuses, it refuses itself', async (t) => {
  const routes = [
    { port: 1, length: 2, to: 'count' },
    { port: 2, to: 'count' },
  ]
  const made = await options({ mode: 'long', ...hello, routes })
  t.throws(() => new VirtualMachine(made), { message: /overlaps routes\[0\]/ })
  const odd = await options({ mode: 'long', ...hello, memoryBytes: '0x1001' })
  t.throws(() => new VirtualMachine(odd), { message: /memoryBytes must be a positive multiple/ })
})
