import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import {
  canonicalJson,
  checkDefinition,
  checkUuid,
  isName,
  isUuid,
  newUuid,
  parseProject,
  readDefinition,
  readProject,
} from '../src/definition/index.ts'
import { fails, rejects } from './helpers/errors.ts'
import { temporary } from './helpers/folder.ts'

const local = { from: 'local' } as const
const hello = { name: 'a', payload: { guest: 'hello' } }

test('every path of a definition becomes absolute', (t) => {
  const given = {
    version: 1,
    name: 'a',
    pc: true,
    payload: {
      file: 'kernel',
      initrd: './initrd',
      modules: [{ file: 'm1', string: 's' }, { file: '/m2' }],
      files: [{ name: 'bios', file: '../bios' }],
    },
    disks: [{ file: 'root.img', volatile: true }],
    module: 'devices.mjs',
  }
  t.deepEqual(checkDefinition(given, { ...local, base: '/base/of' }) as unknown, {
    version: 1,
    name: 'a',
    pc: true,
    payload: {
      file: '/base/of/kernel',
      initrd: '/base/of/initrd',
      modules: [{ file: '/base/of/m1', string: 's' }, { file: '/m2' }],
      files: [{ name: 'bios', file: '/base/bios' }],
    },
    disks: [{ file: '/base/of/root.img', volatile: true }],
    module: '/base/of/devices.mjs',
  })
})

test('without a base a relative path is an error that names its key', (t) => {
  const image = { file: '/k' }
  const cases: [object, string][] = [
    [{ payload: { file: 'k' } }, 'payload.file'],
    [{ payload: { ...image, initrd: 'i' } }, 'payload.initrd'],
    [
      { payload: { ...image, modules: [{ file: '/m' }, { file: 'm' }] } },
      'payload.modules[1].file',
    ],
    [{ payload: { ...image, files: [{ name: 'n', file: 'f' }] } }, 'payload.files[0].file'],
    [{ payload: image, disks: [{ file: 'd' }] }, 'disks[0].file'],
    [{ payload: image, module: 'm.mjs' }, 'module'],
  ]
  for (const [more, key] of cases) {
    const { message } = fails(t, 'ERR_INVALID_OPTION', () =>
      checkDefinition({ name: 'a', ...more }, local),
    )
    t.true(message.startsWith(`definition.${key} must be an absolute path`), message)
  }
  fails(t, 'ERR_INVALID_OPTION', () => checkDefinition(hello.payload, { ...local, base: 'there' }))
})

test('what is wrong is named by its path, with the key that was meant', (t) => {
  const cases: [object, RegExp][] = [
    [{ memorybytes: 4096 }, /^definition has no key "memorybytes"; did you mean memoryBytes\?/],
    [{ zzzzzz: 1 }, /^definition has no key "zzzzzz"; known are /],
    [{ routes: [{ prot: 1, to: 'stop' }] }, /^definition\.routes\[0\] .*did you mean port\?/],
    [{ routes: [{ port: 65_536, to: 'stop' }] }, /routes\[0\]\.port .*from 0 to 65535.* got 65536/],
    [{ routes: [{ port: '0x10000', to: 'stop' }] }, /routes\[0\]\.port/],
    [{ routes: [{ port: 1, to: 'stopp' }] }, /routes\[0\]\.to .*did you mean stop\?/],
    [{ routes: [{ port: 1, gpa: 1, to: 'stop' }] }, /routes\[0\].*exactly one of port and gpa/],
    [{ routes: [{ port: 1, to: 'constant' }] }, /routes\[0\]\.value is missing/],
    [{ routes: [{ port: 1, to: 'stop', value: 1 }] }, /routes\[0\]\.value .*beside to "constant"/],
    [{ payload: {} }, /payload.*exactly one of guest and file, got neither/],
    [{ payload: { guest: 'hello', file: '/k' } }, /payload.*got guest and file/],
    [{ payload: { guest: 'hello', cmdline: 'a' } }, /payload\.cmdline .*beside file only/],
    [{ payload: { guest: 'helo' } }, /payload\.guest .*did you mean hello\?/],
    [{ payload: undefined }, /definition\.payload is missing/],
    [{ vcpus: 0 }, /definition\.vcpus .*got 0/],
    [{ vcpus: 65 }, /definition\.vcpus .*1 to 64, got 65/],
    [{ vcpus: '2' }, /definition\.vcpus .*got "2"/],
    [{ vcpus: 1.5 }, /definition\.vcpus/],
    [{ memoryBytes: '0x0' }, /definition\.memoryBytes/],
    [{ memoryBytes: 5000 }, /definition\.memoryBytes .*multiple of 4096.* got 5000/],
    [{ memoryBytes: 2 ** 32 }, /definition\.memoryBytes must be at most 3 GiB/],
    [{ pc: 'yes' }, /definition\.pc must be true or false, got "yes"/],
    [{ screen: 'txt' }, /definition\.screen/],
    [{ pc: true, screen: { width: 64 } }, /definition\.screen\.height is missing/],
    [{ pc: true, screen: { width: 63, height: 64 } }, /definition\.screen\.width .*64 to 4096/],
    [{ screen: 'text' }, /definition\.screen .*pc/],
    [{ privilege: 'user', mode: 'real' }, /definition\.privilege .*long/],
    [{ disks: {} }, /definition\.disks must be an array, got an object/],
    [{ network: [{ passt: false }] }, /network\[0\]\.passt must be true, got false/],
    [{ network: [{ passt: true, mac: '02:00' }] }, /network\[0\]\.mac/],
    [{ name: undefined }, /definition\.name/],
    [{ version: 2 }, /definition\.version must be 1, got 2/],
    [{ manager: { autostrat: true } }, /definition\.manager .*did you mean autostart\?/],
    [{ manager: { restart: 'allways' } }, /manager\.restart .*did you mean always\?/],
    [{ manager: { group: '../x' } }, /manager\.group must be up to 63 letters/],
    [{ manager: { limits: { openFiles: 0 } } }, /manager\.limits\.openFiles/],
    [{ manager: { vnc: {} } }, /manager\.vnc\.password is missing/],
    [{ manager: { vnc: { password: '', port: 0 } } }, /manager\.vnc\.password/],
    [{ manager: { vnc: { password: 'x', port: 80 } } }, /manager\.vnc\.port .*5900 to 65535/],
    [JSON.parse('{ "__proto__": { "pc": true } }') as object, /has no key "__proto__"/],
  ]
  for (const [more, said] of cases)
    t.regex(
      fails(t, 'ERR_INVALID_OPTION', () => checkDefinition(merged(hello, more), local)).message,
      said,
    )
  const { message } = fails(t, 'ERR_INVALID_OPTION', () =>
    checkDefinition({ ...hello, manager: { vnc: { password: 'sesame open' } } }, local),
  )
  t.false(message.includes('sesame'), message)
  for (const value of [null, undefined, [], 'text', 5, true])
    fails(t, 'ERR_INVALID_OPTION', () => checkDefinition(value, local))
})

/** Own keys only: a spread would set a prototype. */
function merged(one: object, other: object): object {
  return Object.fromEntries([...Object.entries(one), ...Object.entries(other)])
}

test('there are limits to how much a definition holds', (t) => {
  const disks = Array.from({ length: 7 }, () => ({ file: '/d' }))
  fails(t, 'ERR_LIMIT', () => checkDefinition({ ...hello, disks }, local))
  const cmdline = 'a'.repeat(300_000)
  fails(t, 'ERR_LIMIT', () =>
    checkDefinition({ name: 'a', payload: { file: '/k', cmdline } }, local),
  )
  const file = `/${'a'.repeat(5000)}`
  fails(t, 'ERR_LIMIT', () => checkDefinition({ name: 'a', payload: { file } }, local))
})

test('what was checked is accepted as it is, and is a copy', (t) => {
  const given = {
    $schema: './machine.schema.json',
    payload: { guest: 'hello' },
    name: 'a',
    memoryBytes: '0x200000',
    routes: [{ to: 'constant', port: '0x60', value: '0xffffffffffffffff' }],
    screen: { width: 64, height: 64 },
    pc: true,
    network: [{ passt: true, mac: '02:00:00:00:00:01' }],
    ports: ['agent'],
    manager: {
      autostart: true,
      restart: 'on-failure',
      group: 'g',
      limits: { memoryBytes: 2 ** 30, openFiles: 100, cpuSeconds: 1 },
      vnc: { port: 0, password: 'secret' },
    },
  }
  const { $schema: _, ...kept } = given
  const checked = checkDefinition(given, local)
  t.deepEqual(checked as unknown, kept)
  t.not(checked.routes, given.routes as never)
  t.deepEqual(checkDefinition(checked, local), checked)
  t.is(
    canonicalJson(checkDefinition(JSON.parse(canonicalJson(checked)), local)),
    canonicalJson(kept),
  )
})

test('a module is accepted from this host, and from elsewhere below one folder only', (t) => {
  const folder = realpathSync(temporary(t))
  const modules = join(folder, 'modules')
  mkdirSync(join(modules, 'deep'), { recursive: true })
  for (const name of ['modules/deep/in.mjs', 'out.mjs', 'modules-not.mjs'])
    writeFileSync(join(folder, name), '')
  symlinkSync('../out.mjs', join(modules, 'link.mjs'))
  symlinkSync(modules, join(folder, 'alias'))
  const check = (from: 'local' | 'tcp' | 'xml', module: string, below?: string): unknown =>
    checkDefinition(
      { ...hello, module },
      { from, base: folder, ...(below !== undefined && { modules: below }) },
    ).module
  t.is(check('local', 'out.mjs'), join(folder, 'out.mjs'))
  t.is(check('local', '/not/there.mjs', modules), '/not/there.mjs')
  for (const from of ['tcp', 'xml'] as const) {
    const inside = join(modules, 'deep/in.mjs')
    t.is(check(from, 'modules/deep/in.mjs', modules), inside)
    t.is(check(from, 'modules/deep/in.mjs', join(folder, 'alias')), inside)
    t.is(check(from, 'alias/deep/in.mjs', modules), inside)
    const { message } = fails(t, 'ERR_FORBIDDEN', () => check(from, 'modules/deep/in.mjs'))
    t.regex(message, /is code.* --modules/)
    for (const module of [
      'out.mjs',
      'modules/../out.mjs',
      'modules/link.mjs',
      'modules-not.mjs',
      'modules/none.mjs',
      'modules',
      '/etc/passwd',
    ])
      fails(t, 'ERR_FORBIDDEN', () => check(from, module, modules))
    fails(t, 'ERR_FORBIDDEN', () => check(from, 'out.mjs', join(folder, 'none')))
  }
})

test('names and UUIDs', (t) => {
  for (const name of ['a', '0', 'A.b_c-d', 'constructor', 'x'.repeat(63)]) t.true(isName(name))
  for (const name of ['', '.', '..', '../x', '-a', '_a', '__proto__', 'a b', 'a/b', 'a\0', 'a\n'])
    t.false(isName(name))
  for (const name of ['x'.repeat(64), 'ä', 5, null, undefined, ['a']]) t.false(isName(name))
  for (const name of ['api.sock', 'libvirt.sock'])
    fails(t, 'ERR_INVALID_OPTION', () => checkDefinition({ ...hello, name }, local))
  const uuid = newUuid()
  t.true(isUuid(uuid))
  t.is(checkUuid(uuid.toUpperCase(), 'uuid'), uuid)
  for (const value of ['', uuid.slice(1), `${uuid}0`, 5, undefined])
    fails(t, 'ERR_INVALID_OPTION', () => checkUuid(value, 'uuid'))
})

test('canonical JSON does not know in what order keys came', (t) => {
  t.is(
    canonicalJson({ b: [1, { d: 1, c: '2' }], a: {} }),
    canonicalJson({ a: {}, b: [1, { c: '2', d: 1 }] }),
  )
  t.is(canonicalJson({ a: undefined, b: [] }), '{\n  "b": []\n}\n')
  for (const value of [Number.NaN, 1n, () => 1, Symbol('s'), undefined, [undefined, Infinity]])
    fails(t, 'ERR_INVALID_OPTION', () => canonicalJson(value))
  let deep: unknown = 1
  for (let depth = 0; depth < 10_000; depth++) deep = [deep]
  fails(t, 'ERR_INVALID_OPTION', () => canonicalJson(deep))
})

test('a project has machines by name, or in a list', async (t) => {
  const folder = temporary(t)
  const file = join(folder, 'vmexit.json')
  const { payload } = hello
  for (const machines of [
    { a: { payload }, b: { payload, name: 'b' } },
    [
      { name: 'a', payload },
      { name: 'b', payload },
    ],
  ]) {
    writeFileSync(file, JSON.stringify({ version: 1, machines }))
    t.deepEqual(await readProject(file), {
      base: folder,
      machines: [
        { name: 'a', payload },
        { name: 'b', payload },
      ],
    })
  }
  const cases: [unknown, RegExp][] = [
    [{ payload }, /vmexit define/],
    [{ machine: [] }, /no key "machine"; did you mean machines\?/],
    [{ version: 2, machines: [] }, /version/],
    [{ machines: [] }, /must not be empty/],
    [{}, /machines must be an object, got undefined/],
    [{ machines: [{ payload }] }, /the name of machines\[0\]/],
    [{ machines: [{ name: 'a' }, { name: 'a' }] }, /two have the name a/],
    [{ machines: { a: { name: 'b' } } }, /machines\.a\.name must be "a", got "b"/],
    [{ machines: { '../a': {} } }, /the name of machines\.\.\.\/a/],
    [{ machines: { a: 5 } }, /machines\.a must be an object/],
    [[], /must be an object/],
  ]
  for (const [value, said] of cases)
    t.regex(fails(t, 'ERR_INVALID_OPTION', () => parseProject(value, '/')).message, said)
  const many = Array.from({ length: 1001 }, (_, index) => ({ name: `m${index}` }))
  fails(t, 'ERR_LIMIT', () => parseProject({ machines: many }, '/'))
  writeFileSync(file, '{ "machines": ')
  t.regex((await rejects(t, 'ERR_INVALID_OPTION', () => readProject(file))).message, /is no JSON/)
  await rejects(t, 'ERR_INVALID_OPTION', () => readDefinition(join(folder, 'none.json')))
  await rejects(t, 'ERR_INVALID_OPTION', () => readDefinition('/dev/zero'))
  writeFileSync(file, JSON.stringify(hello))
  t.deepEqual(await readDefinition(file), { base: folder, definition: hello })
})
