// A library's memory by its own addresses: what it could reach, and no more.
import { VmError } from '../src/index.ts'
import { libraryTest } from './helpers/library.ts'

libraryTest('values of every width, by numbers and bigints', 'plain', (t, lib) => {
  const at = lib.alloc(8)
  const { memory } = lib
  for (const address of [at, BigInt(at)]) {
    memory.writeUint8(address, 0xff)
    t.is(memory.readUint8(address), 0xff)
    memory.writeUint16(address, 0xbeef)
    t.is(memory.readUint16(address), 0xbeef)
    memory.writeUint32(address, 0xdead_beef)
    t.is(memory.readUint32(address), 0xdead_beef)
    memory.writeUint64(address, 0x0123_4567_89ab_cdefn)
    t.is(memory.readUint64(address), 0x0123_4567_89ab_cdefn)
    t.is(memory.readUint8(address), 0xef)
  }
  const other = lib.memory.read(at, 8)
  other.fill(0)
  t.is(memory.readUint8(at), 0xef)
})

libraryTest('an access over the borders of pages is whole', 'plain', (t, lib) => {
  const at = lib.alloc(20_000)
  const bytes = Uint8Array.from({ length: 20_000 }, (_, index) => index % 251)
  lib.memory.write(at, bytes)
  t.deepEqual(lib.memory.read(at, 20_000), bytes)
  const border = (Math.floor(at / 4096) + 1) * 4096
  lib.memory.writeUint64(border - 3, 0x1122_3344_5566_7788n)
  t.is(lib.memory.readUint64(border - 3), 0x1122_3344_5566_7788n)
  t.is(lib.memory.readUint8(border), 0x55)
})

const outside = { instanceOf: VmError, code: 'ERR_GUEST_MEMORY' }

libraryTest('what the library could not reach is not reached either', 'plain', (t, lib) => {
  const { memory } = lib
  // Nothing, our own pages, the kernel's half, and addresses that no processor has.
  const none = [0, 8, 0xfe00_0000, 0xfe80_0000, 2 ** 47, 2 ** 53 - 1, 1n << 63n, (1n << 64n) - 1n]
  for (const address of none) {
    t.throws(() => memory.readUint8(address), outside, String(address))
    t.throws(() => memory.writeUint8(address, 1), outside, String(address))
    t.throws(() => memory.read(address, 4096), outside, String(address))
  }
  t.throws(() => memory.read((1n << 64n) - 8n, 16), outside)
})

libraryTest('a write that does not fit writes nothing', 'plain', (t, lib) => {
  const at = lib.alloc(64)
  // Up to where nothing is mapped.
  let end = at
  const isThere = (address: number): boolean => {
    try {
      lib.memory.readUint8(address)
      return true
    } catch {
      return false
    }
  }
  while (isThere(end)) end = (Math.floor(end / 4096) + 1) * 4096
  t.throws(() => lib.memory.write(end - 4096, new Uint8Array(4097).fill(7)), outside)
  t.is(lib.memory.readUint8(end - 4096), 0)
  t.is(lib.memory.readUint8(end - 1), 0)
})

libraryTest('code can be read and not written', 'plain', (t, lib) => {
  // A function of the library's is where it faults.
  const error = t.throws(() => lib.exports.undefined(), { name: '#UD' })
  const { rip } = error as unknown as { rip: bigint }
  lib.reset()
  t.is(lib.memory.readUint16(rip), 0x0b0f)
  const why = /^2 bytes at 0x[0-9a-f]+: the program could not write them all$/
  t.throws(() => lib.memory.writeUint16(rip, 0x9090), { ...outside, message: why })
})

libraryTest('memory waits while the library runs on another thread', 'plain', async (t, lib) => {
  const at = lib.alloc(8)
  const call = lib.async.add(1, 2)
  t.throws(() => lib.memory.readUint8(at), { instanceOf: VmError, code: 'ERR_VM_BUSY' })
  t.is(await call, 3)
  t.is(lib.memory.readUint8(at), 0)
})

const invalid = { instanceOf: VmError, code: 'ERR_INVALID_OPTION' }

libraryTest('wrong addresses, lengths and values are refused', 'plain', (t, lib) => {
  const at = lib.alloc(16)
  for (const address of ['5', 1.5, -1, Number.NaN, -1n, 1n << 64n, undefined, null, {}]) {
    t.throws(() => lib.memory.readUint8(address as never), invalid)
    t.throws(() => lib.memory.write(address as never, Uint8Array.of(1)), invalid)
  }
  for (const length of ['5', 1.5, -1, Number.NaN, 5n])
    t.throws(() => lib.memory.read(at, length as never), invalid)
  t.throws(() => lib.memory.read(at, 2 ** 30 + 1), { code: 'ERR_LIMIT' })
  t.throws(() => lib.memory.writeUint8(at, 256), invalid)
  t.throws(() => lib.memory.writeUint64(at, 5 as never), invalid)
  t.throws(() => lib.memory.write(at, [1, 2] as never), invalid)
  t.deepEqual(lib.memory.read(at, 0), new Uint8Array())
})
