// The section in which an image declares its functions: what is read, and that no image can do
// harm.
import test from 'ava'

import { VmError } from '../src/index.ts'
import { readDeclarations } from '../src/process/section.ts'
import { randomBelow } from './helpers/random.ts'

const ADDRESS = 0x5500_0000_2000n

interface Fields {
  magic?: number
  bytes?: number
  kind?: number
  offset?: bigint
  text?: string
}

function record({ magic = 0x3178_6d76, bytes, kind = 1, offset = 0n, text = '' }: Fields) {
  const length = bytes ?? Math.ceil((24 + text.length) / 8) * 8
  const buffer = Buffer.alloc(Math.max(Math.ceil((24 + text.length) / 8) * 8, 32))
  buffer.writeUInt32LE(magic, 0)
  buffer.writeUInt32LE(length, 4)
  buffer.writeUInt32LE(kind, 8)
  buffer.writeBigInt64LE(offset, 16)
  buffer.write(text, 24, 'latin1')
  return buffer
}

const read = (...records: Uint8Array[]) =>
  readDeclarations({ address: ADDRESS, bytes: Buffer.concat(records) })

const add = record({ offset: -0x1000n, text: 'add\0int(int, int)\0' })
const log = record({ kind: 2, text: 'log\0void(const char *)\0' })

test('exports and imports, with the addresses that they have in the guest', (t) => {
  const { exports, imports } = read(add, log)
  const found = exports.get('add')
  // From the field with the offset on.
  t.is(found?.address, ADDRESS + 16n - 0x1000n)
  t.is(found?.signature, 'int(int, int)')
  const [first, ...others] = imports
  t.deepEqual(others, [])
  t.is(first?.name, 'log')
  t.is(first?.address, ADDRESS + BigInt(add.length))
})

test('an image without the section declares nothing', (t) => {
  const { exports, imports } = readDeclarations(undefined)
  t.deepEqual([exports.size, imports.length], [0, 0])
})

test('zeros between records are passed over', (t) => {
  const { exports, imports } = read(Buffer.alloc(24), add, Buffer.alloc(8), log, Buffer.alloc(16))
  t.deepEqual([exports.size, imports.length], [1, 1])
})

test('an import may be declared twice, an export may not', (t) => {
  t.is(read(log, log).imports.length, 2)
  t.throws(() => read(add, add), { message: 'section .vmexit: add is exported twice' })
})

const broken: Record<string, Fields> = {
  'another magic': { magic: 1, text: 'a\0int()\0' },
  'a length of 0': { bytes: 0, text: 'a\0int()\0' },
  'a length that is no multiple of 8': { bytes: 33, text: 'a\0int()\0' },
  'a length past the end': { bytes: 4096, text: 'a\0int()\0' },
  'the largest length': { bytes: 0xffff_fff8, text: 'a\0int()\0' },
  'another kind': { kind: 3, text: 'a\0int()\0' },
  'no name': { text: '\0int()\0' },
  'no signature': { text: 'a\0' },
  'a signature without an end': { text: 'a\0int(int,int)x'.padEnd(40, 'x') },
}

for (const [name, fields] of Object.entries(broken)) {
  test(`${name} is no image of ours`, (t) => {
    const error = t.throws(() => read(add, record(fields)), { instanceOf: VmError })
    t.is((error as VmError).code, 'ERR_PAYLOAD')
    t.regex(error.message, /^section \.vmexit: /)
  })
}

test('whatever the bytes are, they are read or refused', (t) => {
  const below = randomBelow(0xbad_5eed)
  const sound = Buffer.concat([add, log, add.fill(0, 24, 25), log])
  let refused = 0
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(sound.subarray(0, below(sound.length + 1)))
    for (let change = below(4); change > 0 && bytes.length > 0; change -= 1)
      bytes[below(bytes.length)] = below(256)
    try {
      readDeclarations({ address: ADDRESS, bytes })
    } catch (error) {
      if (!(error instanceof VmError) || error.code !== 'ERR_PAYLOAD') throw error
      refused += 1
    }
  }
  t.true(refused > 1000)
})
