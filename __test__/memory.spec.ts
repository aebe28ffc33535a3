// Guest memory from the host's side: copies, typed access, bounds, the shared buffer, slots.
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'

import type { ErrorCode, Exit, GuestMemory } from '../src/index.ts'
import { native } from '../src/native/native.ts'
import { kvmTest, kvmTestBoth, runKinds } from './helpers/kvm.ts'
import { machine, pattern, vmError } from './helpers/machine.ts'

const twoMiB = 2 * 1024 * 1024
const halt = 'f4 ; hlt'

kvmTest('what is written is read back, at every edge', (t) => {
  using vm = machine(halt, [], { slots: [{ gpa: 2 ** 32, bytes: 8192 }] })
  const bytes = pattern(5000)
  for (const gpa of [0, 1, 4095, twoMiB - 5000, 2 ** 32, 2 ** 32 + 3192]) {
    vm.memory.write(gpa, bytes)
    t.deepEqual(vm.memory.read(gpa, 5000), bytes, `${gpa}`)
  }
  t.deepEqual(vm.memory.read(twoMiB - 1, 1), bytes.subarray(-1))
  // A part of an array is written, not the whole array.
  vm.memory.write(0x1000, bytes.subarray(10, 12))
  t.deepEqual(vm.memory.read(0x1000, 3).subarray(0, 2), Uint8Array.of(11, 12))
})

kvmTest('a copy is a copy', (t) => {
  using vm = machine(halt)
  const bytes = Uint8Array.of(1, 2, 3)
  vm.memory.write(0x500, bytes)
  bytes.fill(9)
  const read = vm.memory.read(0x500, 3)
  t.deepEqual(read, Uint8Array.of(1, 2, 3))
  read.fill(8)
  t.deepEqual(vm.memory.read(0x500, 3), Uint8Array.of(1, 2, 3))
})

kvmTest('typed access is little-endian, aligned or not', (t) => {
  using vm = machine(halt)
  const { memory } = vm
  memory.write(0x501, Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88))
  t.is(memory.readUint8(0x501), 0x11)
  t.is(memory.readUint16(0x501), 0x2211)
  t.is(memory.readUint32(0x501), 0x44332211)
  t.is(memory.readUint64(0x501), 0x8877665544332211n)
  t.is(memory.readUint32(0x505), 0x88776655)

  memory.write(0x600, new Uint8Array(24).fill(0xee))
  memory.writeUint8(0x601, 0xff)
  memory.writeUint16(0x603, 0xfedc)
  memory.writeUint32(0x606, 0xfedcba98)
  memory.writeUint64(0x60b, 0xfedcba9876543210n)
  t.is(
    Buffer.from(memory.read(0x600, 20)).toString('hex'),
    'eeffeedcfeee98badcfeee1032547698badcfeee',
  )
  for (const [write, most] of [
    ['writeUint8', 0xff],
    ['writeUint16', 0xffff],
    ['writeUint32', 0xffff_ffff],
  ] as const) {
    memory[write](0x700, 0)
    memory[write](0x700, most)
    const expected = vmError(
      'ERR_INVALID_OPTION',
      new RegExp(`^value must be .* 0 to ${most}, got`),
    )
    for (const value of [-1, most + 1, 0.5, Number.NaN, 1n, '1', undefined]) {
      t.throws(() => memory[write](0x700, value as never), expected)
    }
  }
  for (const value of [-1n, 2n ** 64n, 1, undefined]) {
    const expected = vmError(
      'ERR_INVALID_OPTION',
      /^value must be a bigint from 0 to 2\^64 - 1, got/,
    )
    t.throws(() => memory.writeUint64(0x700, value as never), expected)
  }
  t.is(memory.readUint64(0x700), 0xffff_ffffn)
})

/** Slot 0 ends at 2 MiB, and two adjacent slots lie at 4 GiB. */
const slots = [
  { gpa: 2 ** 32, bytes: 4096 },
  { gpa: 2 ** 32 + 4096, bytes: 4096 },
]

const outside: [gpa: number, length: number][] = [
  [twoMiB, 1],
  [twoMiB - 1, 2],
  [twoMiB - 4, 8],
  [0, twoMiB + 1],
  [-1, 1],
  [-1, 8],
  [2 ** 32 - 1, 1],
  [2 ** 32 - 1, 2],
  [2 ** 32 + 8191, 2],
  [2 ** 32 + 8192, 1],
  [0xff00_0000, 8],
  [2 ** 52, 1],
  [Number.MAX_SAFE_INTEGER, 8],
  [2 ** 53, 1],
  [2 ** 64, 1],
  [-(2 ** 63), 1],
  // An empty range needs a place too.
  [twoMiB + 1, 0],
  [-1, 0],
]

kvmTest('a range that leaves memory is an error and touches nothing', (t) => {
  using vm = machine(halt, [], { slots })
  const { memory } = vm
  const edges = [0, twoMiB - 16, 2 ** 32, 2 ** 32 + 8176]
  for (const edge of edges) memory.write(edge, new Uint8Array(16).fill(0xee))
  const untouched = edges.map((edge) => memory.read(edge, 16))
  const expected = vmError('ERR_GUEST_MEMORY', /gpa .* outside guest memory/)
  for (const [gpa, length] of outside) {
    t.throws(() => memory.read(gpa, length), expected, `read ${gpa}, ${length}`)
    t.throws(() => memory.write(gpa, new Uint8Array(length)), expected, `write ${gpa}, ${length}`)
  }
  const typed: [keyof GuestMemory, size: number, value: number | bigint][] = [
    ['readUint8', 1, 0],
    ['readUint16', 2, 0],
    ['readUint32', 4, 0],
    ['readUint64', 8, 0],
    ['writeUint8', 1, 0],
    ['writeUint16', 2, 0],
    ['writeUint32', 4, 0],
    ['writeUint64', 8, 0n],
  ]
  for (const [method, size, value] of typed) {
    const call = memory[method] as (gpa: number, value: number | bigint) => unknown
    for (const gpa of [twoMiB - size + 1, 2 ** 32 + 8192 - size + 1, -1, 2 ** 32 - 1]) {
      t.throws(() => call.call(memory, gpa, value), expected, `${method} ${gpa}`)
    }
    t.notThrows(() => call.call(memory, 0x1000, value))
  }
  t.deepEqual(
    edges.map((edge) => memory.read(edge, 16)),
    untouched,
  )
})

kvmTest('adjacent slots are one range, and an empty one is none', (t) => {
  using vm = machine(halt, [], { slots })
  vm.memory.write(2 ** 32 + 4094, pattern(4))
  t.deepEqual(vm.memory.read(2 ** 32 + 4094, 4), pattern(4))
  t.is(vm.memory.readUint64(2 ** 32 + 4092), 0x0000_0403_0201_0000n)
  for (const gpa of [0, 5, twoMiB, 2 ** 32 + 8192]) {
    t.deepEqual(vm.memory.read(gpa, 0), new Uint8Array(0))
    t.notThrows(() => vm.memory.write(gpa, new Uint8Array(0)))
  }
})

kvmTest('what is no address, length or array of bytes', (t) => {
  using vm = machine(halt)
  const { memory } = vm
  const wrong: [() => unknown, RegExp, ErrorCode?][] = [
    ...[undefined, null, '0', 0n, 0.5, Number.NaN, Number.POSITIVE_INFINITY, {}].flatMap(
      (gpa): [() => unknown, RegExp][] => [
        [() => memory.read(gpa as never, 1), /^gpa must be a whole number, got/],
        [() => memory.write(gpa as never, new Uint8Array(1)), /^gpa must be a whole number, got/],
        [() => memory.readUint32(gpa as never), /^gpa must be a whole number, got/],
        [() => memory.writeUint8(gpa as never, 1), /^gpa must be a whole number, got/],
      ],
    ),
    ...[undefined, null, '1', 1n, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY].map(
      (length): [() => unknown, RegExp] => [
        () => memory.read(0, length as never),
        /^length must be a whole number from 0/,
      ],
    ),
    ...[undefined, null, 'text', [1, 2], 5, new ArrayBuffer(2), new Uint16Array(1)].map(
      (bytes): [() => unknown, RegExp] => [
        () => memory.write(0, bytes as never),
        /^bytes must be a Uint8Array, got/,
      ],
    ),
  ]
  const first = memory.read(0, 8)
  for (const [call, message] of wrong) t.throws(call, vmError('ERR_INVALID_OPTION', message))
  t.deepEqual(memory.read(0, 8), first)
})

kvmTest('only an array that is one is written, whatever its realm and its buffer', (t) => {
  using vm = machine(halt)
  const { memory } = vm
  const taken: Record<string, Uint8Array> = {
    'of another realm': runInNewContext('Uint8Array.of(1, 2, 3)'),
    'of a resizable buffer': inBuffer(Reflect.construct(ArrayBuffer, [3, { maxByteLength: 8 }])),
    'of a shared buffer': inBuffer(new SharedArrayBuffer(3)),
    'with a prototype of its own': Object.setPrototypeOf(Uint8Array.of(1, 2, 3), null),
    'with a length of its own': withLength(1000),
  }
  for (const [name, bytes] of Object.entries(taken)) {
    memory.write(0x500, new Uint8Array(8))
    memory.write(0x500, bytes)
    t.deepEqual(memory.read(0x500, 4), Uint8Array.of(1, 2, 3, 0), name)
  }
  const { proxy, revoke } = Proxy.revocable(new Uint8Array(1), {})
  revoke()
  const refused: Record<string, [unknown, RegExp]> = {
    'an heir': [
      Object.create(Uint8Array.prototype),
      /got an object \(Uint8Array\), which only looks/,
    ],
    'an heir of Buffer': [Object.create(Buffer.prototype), /got an object \(Buffer\), which only/],
    'a proxy': [new Proxy(new Uint8Array(1), {}), /got an object \(Uint8Array\), which only looks/],
    'a revoked proxy': [proxy, /got an object that cannot be shown$/],
    'a detached array': [detached(), /must have its memory, got a detached Uint8Array$/],
    'an array beyond its buffer': [cutOff(), /must have its memory, got a detached Uint8Array$/],
  }
  for (const [name, [bytes, message]] of Object.entries(refused)) {
    const expected = vmError('ERR_INVALID_OPTION', message)
    t.throws(() => memory.write(0x500, bytes as never), expected, name)
    t.throws(() => machine(halt, [], { payload: { image: bytes as never } }), expected, name)
    t.throws(() => vm.reply(bytes as never), expected, name)
  }
})

/** 1, 2, 3 in a buffer of the caller's. */
function inBuffer(buffer: ArrayBufferLike): Uint8Array {
  const bytes = new Uint8Array(buffer)
  bytes.set([1, 2, 3])
  return bytes
}

/** 1, 2, 3 that say they are more. */
function withLength(value: number): Uint8Array {
  return Object.defineProperty(Uint8Array.of(1, 2, 3), 'length', { value })
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(4)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

/** Its buffer has become smaller than where it begins. */
function cutOff(): Uint8Array {
  const buffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }]) as ArrayBuffer & {
    resize: (length: number) => void
  }
  const bytes = new Uint8Array(buffer, 4, 4)
  buffer.resize(2)
  return bytes
}

kvmTest('buffer is slot 0 itself, always the same object', async (t) => {
  // movb $7,(0x600); mov (0x601),%al; hlt
  using vm = machine('c6 04 25 00 06 00 00 07 8a 04 25 01 06 00 00 f4', [], {
    slots,
    memoryBytes: 0x1_0000,
  })
  const { buffer } = vm.memory
  t.is(vm.memory.buffer, buffer)
  t.is(buffer.byteLength, 0x1_0000)
  const bytes = new Uint8Array(buffer)
  t.is(bytes[0], 0xc6)
  vm.memory.writeUint16(0xfffe, 0x1234)
  t.is(new DataView(buffer).getUint16(0xfffe, true), 0x1234)
  bytes[0x601] = 0x42
  t.is(vm.memory.readUint8(0x601), 0x42)
  t.is((await runKinds.runSync(vm)).reason, 'hlt')
  t.is(bytes[0x600], 7)
  t.is(vm.registers().rax, 0x42n)
})

kvmTestBoth('memory can be read and written in a handler', async (t, run) => {
  // out %al,$0x60; mov (0x600),%al; hlt
  const seen: number[] = []
  using vm = machine('c6 04 25 00 06 00 00 07 e6 60 8a 04 25 00 06 00 00 f4', [
    {
      port: 0x60,
      device: {
        write() {
          seen.push(vm.memory.readUint8(0x600))
          vm.memory.writeUint8(0x600, 0x24)
        },
      },
    },
  ])
  await run(vm)
  t.deepEqual(seen, [7])
  t.is(vm.registers().rax, 0x24n)
})

kvmTest('memory can be read and written while the guest runs', async (t) => {
  // Counts at 0x600 until 0x608 is no longer 0.
  using vm = machine(`
    ff 04 25 00 06 00 00       ; incl 0x600
    80 3c 25 08 06 00 00 00    ; cmpb $0,0x608
    74 ef                      ; je to the start
    f4                         ; hlt
  `)
  const running = vm.run({ timeoutMs: 300_000 })
  const deadline = Date.now() + 300_000
  while (vm.memory.readUint32(0x600) < 100 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const counted = new Uint32Array(vm.memory.buffer, 0x600, 1)[0]!
  t.true(vm.running)
  vm.memory.writeUint8(0x608, 1)
  t.is((await running).reason, 'hlt')
  t.true(counted >= 100)
  t.true(vm.memory.readUint32(0x600) >= counted)
})

kvmTest('a guest uses further slots', async (t) => {
  // The host sets RBX: mov %rax,(%rbx); mov (%rbx),%rcx; hlt
  for (const gpa of [0x4000_0000, 0xfdff_f000, 2 ** 32, 2 ** 38]) {
    using vm = machine('48 89 03 48 8b 0b f4', [], { slots: [{ gpa, bytes: 4096 }] })
    vm.setRegisters({ rax: 0x1122_3344_5566_7788n, rbx: BigInt(gpa) + 4088n })
    t.is((await runKinds.runSync(vm)).reason, 'hlt')
    t.is(vm.registers().rcx, 0x1122_3344_5566_7788n)
    t.is(vm.memory.readUint64(gpa + 4088), 0x1122_3344_5566_7788n)
  }
})

function lacksReadOnly(): boolean {
  const report = native.probeHost()
  const found = 'capabilities' in report ? report.capabilities : []
  return !found.some(({ name, value }) => name === 'KVM_CAP_READONLY_MEM' && value > 0)
}

kvmTestBoth(
  'a read-only slot: the guest reads, its writes exit, the host writes',
  async (t, run) => {
    if (lacksReadOnly()) {
      t.log('skipped: this KVM lacks KVM_CAP_READONLY_MEM')
      t.pass()
      return
    }
    const listing = `
    8b 03 ; mov (%rbx),%eax
    89 13 ; mov %edx,(%rbx)
    8b 0b ; mov (%rbx),%ecx
    f4    ; hlt
  `
    const gpa = 0x80_0000
    using vm = machine(listing, [], { slots: [{ gpa, bytes: 4096, readOnly: true }] })
    vm.memory.writeUint32(gpa + 8, 0xaabb_ccdd)
    vm.setRegisters({ rbx: BigInt(gpa) + 8n, rdx: 0x1122_3344n })
    const data = Uint8Array.of(0x44, 0x33, 0x22, 0x11)
    const exit = { reason: 'mmio-write', gpa: gpa + 8, size: 4, value: 0x1122_3344, data } as Exit
    t.deepEqual((await run(vm)).exit, exit)
    t.is(vm.registers().rax, 0xaabb_ccddn)
    t.is(vm.memory.readUint32(gpa + 8), 0xaabb_ccdd)
    vm.memory.writeUint32(gpa + 8, 5)
    t.is((await run(vm)).reason, 'hlt')
    t.is(vm.registers().rcx, 5n)
  },
)

/** Resident memory of this process. */
function residentBytes(): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(kib?.[1]) * 1024
}

kvmTest('one read is limited to 1 GiB, and memory is committed when touched', (t) => {
  const before = residentBytes()
  using vm = machine(halt, [], { memoryBytes: 2 ** 31 })
  const limit = vmError(
    'ERR_LIMIT',
    /^length must be at most 1073741824, got 1073741825; read in parts/,
  )
  t.throws(() => vm.memory.read(0, 2 ** 30 + 1), limit)
  t.throws(() => vm.memory.read(0, 2 ** 31), vmError('ERR_LIMIT'))
  // What does not exist is said to be outside, however long.
  t.throws(() => vm.memory.read(0, 2 ** 31 + 1), vmError('ERR_GUEST_MEMORY'))
  t.throws(() => vm.memory.read(0, Number.MAX_SAFE_INTEGER), vmError('ERR_GUEST_MEMORY'))
  vm.memory.writeUint8(2 ** 31 - 1, 7)
  t.is(vm.memory.readUint8(2 ** 31 - 1), 7)
  t.is(vm.memory.buffer.byteLength, 2 ** 31)
  t.true(residentBytes() - before < 256 * 2 ** 20)
})

kvmTest('a closed machine has no memory', (t) => {
  const vm = machine(halt)
  vm.memory.writeUint8(5, 7)
  const bytes = new Uint8Array(vm.memory.buffer)
  vm.close()
  t.is(bytes[5], 0)
  const closed = vmError('ERR_VM_CLOSED')
  t.throws(() => vm.memory.buffer, closed)
  t.throws(() => vm.memory.read(0, 1), closed)
  t.throws(() => vm.memory.write(0, Uint8Array.of(1)), closed)
  t.throws(() => vm.memory.readUint32(0), closed)
})
