// Accesses to addresses without memory: every size, across page borders, wherever they lie.
import { type CpuMode, type Exit, type Route, guests } from '../src/index.ts'
import { kvmTestBoth, skipsMode } from './helpers/kvm.ts'
import { machine, memoryDevice, recorder, toBytes } from './helpers/machine.ts'

/** What `guests.mmio` writes, in this order, and where the value that it reads back goes. */
const accesses: [gpa: number, size: number, value: bigint, cell: number][] = [
  [0x1000_0000, 1, 0x11n, 0x500],
  [0x1000_0010, 2, 0x2233n, 0x508],
  [0x1000_0020, 4, 0x4455_6677n, 0x510],
  [0x1000_0030, 8, 0x8899_aabb_ccdd_eeffn, 0x518],
  [0x1000_0ffc, 8, 0x0102_0304_0506_0708n, 0x520],
  [0x1000_0ffe, 4, 0x090a_0b0cn, 0x528],
  [0x1000_1ffd, 8, 0x1112_1314_1516_1718n, 0x530],
]

/** The exits that these accesses make, cut at page borders: gpa and size. */
const cut: [gpa: number, size: number][] = [
  [0x1000_0000, 1],
  [0x1000_0010, 2],
  [0x1000_0020, 4],
  [0x1000_0030, 8],
  [0x1000_0ffc, 4],
  [0x1000_1000, 4],
  [0x1000_0ffe, 2],
  [0x1000_1000, 2],
  [0x1000_1ffd, 3],
  [0x1000_2000, 5],
]

/** Every byte of 0x10000000 to 0x10002fff after the guest's writes. */
function finalBytes(): Uint8Array {
  const bytes = new Uint8Array(0x3000)
  for (const [gpa, size, value] of accesses) bytes.set(toBytes(value, size), gpa - 0x1000_0000)
  return bytes
}

const cells = accesses.map(([, , value]) => value)

kvmTestBoth('a device that works like memory is memory', async (t, run) => {
  const bytes = new Uint8Array(0x3000)
  const device = memoryDevice(bytes)
  using vm = machine(guests.mmio, [{ gpa: 0x1000_0000, length: 0x3000, device }])
  const result = await run(vm)
  t.is(result.reason, 'hlt')
  t.is(vm.registers().rax, 7n)
  t.deepEqual(
    accesses.map(([, , , cell]) => vm.memory.readUint64(cell)),
    cells,
  )
  t.deepEqual(bytes, finalBytes())
  t.like(vm.counters().exits, { 'mmio-write': 10, 'mmio-read': 10, 'pio-out': 0 })
  t.deepEqual(vm.counters().routes, [{ reads: 10, writes: 10 }])
  t.is(result.exits, 21)
})

kvmTestBoth('a device is asked for 1, 2, 4 or 8 bytes only', async (t, run) => {
  const { device, asked } = recorder()
  using vm = machine(guests.mmio, [{ gpa: 0x1000_0000, length: 0x3000, device }])
  await run(vm)
  t.deepEqual(
    asked.filter(([kind]) => kind === 'write'),
    [
      ['write', 0, 1, 0x11, 0],
      ['write', 0x10, 2, 0x2233, 0],
      ['write', 0x20, 4, 0x4455_6677, 0],
      ['write', 0x30, 8, 0x8899_aabb_ccdd_eeffn, 0],
      ['write', 0xffc, 4, 0x0506_0708, 0],
      ['write', 0x1000, 4, 0x0102_0304, 0],
      ['write', 0xffe, 2, 0x0b0c, 0],
      ['write', 0x1000, 2, 0x090a, 0],
      // 3 and 5 bytes, in pieces of natural alignment.
      ['write', 0x1ffd, 1, 0x18, 0],
      ['write', 0x1ffe, 2, 0x1617, 0],
      ['write', 0x2000, 4, 0x1213_1415, 0],
      ['write', 0x2004, 1, 0x11, 0],
    ],
  )
  const reads = asked.filter(([kind]) => kind === 'read').map(([, offset, size]) => [offset, size])
  t.deepEqual(reads.slice(-4), [
    [0x1ffd, 1],
    [0x1ffe, 2],
    [0x2000, 4],
    [0x2004, 1],
  ])
})

kvmTestBoth(
  'without a route every access ends the run, with its address, size and bytes',
  async (t, run) => {
    const bytes = new Uint8Array(0x3000)
    const writes: [number, number][] = []
    using vm = machine(guests.mmio)
    let result = await run(vm)
    for (; result.reason !== 'hlt'; result = await run(vm)) {
      const exit = result.exit as Exit
      if (exit.reason === 'mmio-write') {
        t.is(exit.data.length, exit.size)
        t.is(BigInt(exit.value), BigInt.asUintN(64, bigintOf(exit.data)))
        t.is(typeof exit.value, exit.size > 4 ? 'bigint' : 'number')
        bytes.set(exit.data, exit.gpa - 0x1000_0000)
        writes.push([exit.gpa, exit.size])
      } else if (exit.reason === 'mmio-read') {
        t.deepEqual(Object.keys(exit).toSorted(), ['gpa', 'reason', 'size'])
        const offset = exit.gpa - 0x1000_0000
        vm.reply(bytes.slice(offset, offset + exit.size))
      } else {
        t.fail(exit.reason)
        break
      }
    }
    t.deepEqual(writes, cut)
    t.deepEqual(bytes, finalBytes())
    t.deepEqual(
      accesses.map(([, , , cell]) => vm.memory.readUint64(cell)),
      cells,
    )
  },
)

function bigintOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

kvmTestBoth('onExit answers with values, bigints and bytes', async (t, run) => {
  using vm = machine(guests.mmio)
  const result = await run(vm, {
    onExit(exit) {
      if (exit.reason !== 'mmio-read') return undefined
      if (exit.size === 8) return 0xffee_ddcc_bbaa_9988n
      return exit.size === 4 ? new Uint8Array([1, 2, 3, 4]) : 0x0807_0605_0403n
    },
  })
  t.is(result.reason, 'hlt')
  t.deepEqual(
    accesses.map(([, , , cell]) => vm.memory.readUint64(cell)),
    [
      0x03n,
      0x0403n,
      0x0403_0201n,
      0xffee_ddcc_bbaa_9988n,
      0x0403_0201_0403_0201n,
      0x0403_0403n,
      // 3 bytes, then 5.
      0x0706_0504_03_05_0403n,
    ],
  )
})

/** The host sets RAX and RBX; the same bytes in 32 and 64 bit. */
const store4 = `
  89 03 ; mov %eax,(%rbx)
  8b 0b ; mov (%rbx),%ecx
  f4    ; hlt
`
const high: [mode: CpuMode, gpa: number][] = [
  ['protected', 0xd000_0000],
  ['paged32', 0xd000_0000],
  ['long', 0xd000_0000],
  // The last bytes in front of the tables, and the first where hardware would be.
  ['long', 0xfdff_fffc],
  ['long', 0xfec0_0008],
  // Above 4 GiB.
  ['long', 0x1_8000_0000],
  ['long', 0x7f_ffff_fffc],
]

for (const [mode, gpa] of high) {
  kvmTestBoth(`a device at 0x${gpa.toString(16)} in mode '${mode}'`, async (t, run) => {
    if (skipsMode(t, mode)) return
    const { device, asked } = recorder(() => 0xabcd_ef01)
    using vm = machine(store4, [{ gpa: gpa - 8, length: 12, device }], { mode })
    vm.setRegisters({ rax: 0x8000_0001n, rbx: BigInt(gpa) })
    t.is((await run(vm)).reason, 'hlt')
    t.deepEqual(asked, [
      ['write', 8, 4, 0x8000_0001, 0],
      ['read', 8, 4, 0],
    ])
    t.is(vm.registers().rcx, 0xabcd_ef01n)
  })
}

kvmTestBoth('a device in the first megabyte, from real mode', async (t, run) => {
  const { device, asked } = recorder(() => 0x5a)
  // As a graphics adapter's memory at segment 0xa000.
  const guest = `
    b8 00 a0       ; mov $0xa000,%ax
    8e d8          ; mov %ax,%ds
    c7 06 04 00 34 12 ; movw $0x1234,(4)
    8a 0e 06 00    ; mov (6),%cl
    f4             ; hlt
  `
  const options = { mode: 'real', memoryBytes: 0x1_0000 } as const
  using vm = machine(guest, [{ gpa: 0xa_0000, length: 0x1_0000, device }], options)
  t.is((await run(vm)).reason, 'hlt')
  t.deepEqual(asked, [
    ['write', 4, 2, 0x1234, 0],
    ['read', 6, 1, 0],
  ])
  t.is(vm.registers().rcx, 0x5an)
})

/** Gpa of a 4-byte access, which route gets it (`undefined`: none), at which offset. */
const firstBytes: [gpa: number, route: 0 | 1 | undefined, offset: number][] = [
  [0xd000_00fe, undefined, 0],
  [0xd000_0100, 0, 0],
  [0xd000_0103, 0, 3],
  [0xd000_0104, 1, 0],
  [0xd000_010b, 1, 7],
  [0xd000_010c, undefined, 0],
]

kvmTestBoth('an access belongs to the route of its first byte', async (t, run) => {
  for (const [gpa, route, offset] of firstBytes) {
    const routes = [recorder(() => 7), recorder(() => 7)] as const
    using vm = machine(store4, [
      { gpa: 0xd000_0104, length: 8, device: routes[1].device },
      { gpa: 0xd000_0100, length: 4, device: routes[0].device },
    ])
    vm.setRegisters({ rax: 9n, rbx: BigInt(gpa) })
    const result = await run(vm)
    const name = `0x${gpa.toString(16)}`
    const seen = [
      ['write', offset, 4, 9, 0],
      ['read', offset, 4, 0],
    ]
    t.deepEqual(routes[0].asked, (route === 0 ? seen : []) as never, name)
    t.deepEqual(routes[1].asked, (route === 1 ? seen : []) as never, name)
    if (route === undefined) t.like(result.exit, { reason: 'mmio-write', gpa, size: 4, value: 9 })
    else t.is(result.reason, 'hlt', name)
  }
})

kvmTestBoth('the routes that Rust answers work at addresses too', async (t, run) => {
  const at = (route: object): Route => ({ gpa: 0xd000_0000, length: 16, ...route }) as Route
  const targets: [Route, rcx: bigint, text: number[]][] = [
    [at({ to: 'console' }), 0xffff_ffffn, [0x41, 0x42, 0x43, 0x44]],
    [at({ to: 'constant', value: 0x1_2345_6789n }), 0x2345_6789n, []],
    [at({ to: 'discard' }), 0xffff_ffffn, []],
    [at({ to: 'count' }), 0xffff_ffffn, []],
  ]
  for (const [route, rcx, text] of targets) {
    using vm = machine(store4, [route])
    vm.setRegisters({ rax: 0x4443_4241n, rbx: 0xd000_0004n })
    const result = await run(vm)
    t.deepEqual([...result.output], text)
    t.is(vm.registers().rcx, rcx)
    t.deepEqual(vm.counters().routes, [{ reads: 1, writes: 1 }])
  }
})
