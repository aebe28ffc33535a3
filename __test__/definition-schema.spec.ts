// machine.schema.json and the check of definitions say the same: a validator of JSON schemas is
// asked beside it.
import { readFileSync } from 'node:fs'

import { Ajv2020 } from 'ajv/dist/2020.js'
import test from 'ava'

import { check } from '../src/definition/check.ts'
import { schemaOf } from '../src/definition/schema.ts'
import { machineRule } from '../src/definition/table.ts'

const schema = JSON.parse(readFileSync('machine.schema.json', 'utf8'))
const accepts = new Ajv2020({ strict: true, strictRequired: false }).compile(schema)

function isDefinition(value: unknown): boolean {
  try {
    check(machineRule, value, '')
    return true
  } catch {
    return false
  }
}

test('the schema of the package is made from the table of the check', (t) => {
  t.deepEqual(schema, JSON.parse(JSON.stringify(schemaOf(machineRule))))
  t.is(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
  const { exports, files } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.is(exports['./machine.schema.json'], './machine.schema.json')
  t.true(files.includes('machine.schema.json'))
})

test('every key has words for an editor', (t) => {
  const silent: string[] = []
  const visit = (name: string, node: any): void => {
    for (const [key, member] of Object.entries<any>(node.properties ?? {})) {
      if (!member.description) silent.push(`${name}.${key}`)
      visit(`${name}.${key}`, member.items ?? member)
    }
  }
  visit('', schema)
  t.deepEqual(silent, [])
})

const payload = { file: 'kernel.elf' }
const good: object[] = [
  { payload: { guest: 'hello' } },
  { payload },
  {
    $schema: './node_modules/vmexit/machine.schema.json',
    version: 1,
    name: 'a',
    mode: 'long',
    privilege: 'user',
    memoryBytes: '0x200000',
    slots: [{ gpa: '4294967296', bytes: 4096, readOnly: true }],
    vcpus: 64,
    irqchip: true,
    serial: true,
    pc: true,
    payload: {
      file: 'kernel',
      format: 'multiboot',
      loadGpa: 0,
      entryGpa: '0x10',
      cmdline: '',
      initrd: 'x',
      modules: [{ file: 'a', string: 'b c' }, { file: '/d' }],
    },
    routes: [
      { port: 0, to: 'console' },
      { gpa: '0xd0000000', length: '0x1000', to: 'constant', value: '0xffffffffffffffff' },
      { port: 65_535, length: 1, to: 'stop' },
    ],
    module: './devices.mjs',
    manager: { any: ['thing', null] },
  },
]

/** One after the other takes the place of each part of a definition. */
const hostile: unknown[] = [
  ...[null, true, false, 0, -0, 1, -1, 0.5, 1e300, 2 ** 52, 2 ** 53 - 1, 2 ** 53, 65_535, 65_536],
  ...[
    '',
    '0',
    '0x0',
    '1',
    '0x',
    '00',
    '0x0001',
    '65535',
    '65536',
    '0xffff',
    '0x10000',
    '-1',
    '1e3',
  ],
  ...['4294967296', '4294967297', '0x100000000', '0x100000001', '4503599627370495'],
  ...['4503599627370496', '0xfffffffffffff', '0x10000000000000', '18446744073709551615'],
  ...['18446744073709551616', '0xffffffffffffffff', '0x10000000000000000', '99999999999999999999'],
  ...['0x000000000000000001', '0x0000000000000000001', '１', '0XF', ' 1', '1\n', '\0', 'a\0b', 'é'],
  ...[
    'long',
    'real',
    'hello',
    'helo',
    'constant',
    'console',
    'queue',
    'elf',
    'kernel',
    '.a',
    'a/b',
  ],
  ...['x'.repeat(63), 'x'.repeat(64), '😀'.repeat(10)],
  ...[[], {}, [[]], [{}], [null], { file: 'x' }, { guest: 'hello' }, { port: 1, to: 'count' }],
  ...[[{ file: 'x' }], [{ port: 1, to: 'count' }], [{ gpa: 0, bytes: 1 }], { gpa: 0, bytes: 1 }],
]

/** Every way to replace, remove or add one thing in a value. */
function* variants(value: unknown): Generator<unknown> {
  yield* hostile
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const other of variants(item)) yield value.with(index, other)
      yield value.toSpliced(index, 1)
    }
    yield [...value, ...value, {}]
    yield Array.from({ length: 300 }, () => value[0] ?? {})
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
    for (const [index, [key, item]] of entries.entries()) {
      for (const other of variants(item))
        yield Object.fromEntries(entries.with(index, [key, other]))
      yield Object.fromEntries(entries.toSpliced(index, 1))
    }
    const others = ['file', 'guest', 'gpa', 'port', 'value', 'to', 'loadGpa', 'x', '__proto__', '']
    for (const key of [...others, 'constructor', 'toString'])
      yield Object.fromEntries([...entries, [key, 1]])
  }
}

test('the schema accepts what the check accepts, and nothing else', (t) => {
  for (const definition of good) {
    t.true(isDefinition(definition))
    t.true(accepts(definition), JSON.stringify(accepts.errors))
  }
  const counts = { good: 0, bad: 0 }
  for (const definition of good) {
    for (const variant of variants(definition)) {
      // As it comes out of a file.
      const value: unknown = JSON.parse(JSON.stringify(variant))
      const expected = isDefinition(value)
      counts[expected ? 'good' : 'bad'] += 1
      if (accepts(value) !== expected) {
        t.fail(`${JSON.stringify(value)}: ${expected} for the check, not for the schema`)
        return
      }
    }
  }
  t.true(counts.good > 300 && counts.bad > 1500, JSON.stringify(counts))
})
