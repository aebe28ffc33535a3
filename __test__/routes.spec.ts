// Who answers an access, what the answer is, and what is counted.
import test from 'ava'
import { type Device, type Route, guests } from '../src/index.ts'
import { kvmTest, kvmTestBoth, runKinds } from './helpers/kvm.ts'
import { fromBytes, machine, memoryDevice, recorder, toBytes } from './helpers/machine.ts'

/** What `guests.pioSizes` writes to 0x200, 0x202 and 0x204 before it reads there. */
const written = [
  ['write', 0, 1, 0x11, 0],
  ['write', 2, 2, 0x2233, 0],
  ['write', 4, 4, 0x44556677, 0],
] as const

/** By size. The host sets RAX and RDX; `hlt` ends the run. */
const outs: Record<number, string> = {
  1: 'ee f4    ; out %al,(%dx); hlt',
  2: '66 ef f4 ; out %ax,(%dx); hlt',
  4: 'ef f4    ; out %eax,(%dx); hlt',
}
const ins: Record<number, string> = {
  1: 'ec f4    ; in (%dx),%al; hlt',
  2: '66 ed f4 ; in (%dx),%ax; hlt',
  4: 'ed f4    ; in (%dx),%eax; hlt',
}
/** The host sets RAX and RBX. */
const mmioBothWays = `
  48 89 03 ; mov %rax,(%rbx)
  48 8b 0b ; mov (%rbx),%rcx
  f4       ; hlt
`

/** What every target makes of the same guest: the ends of its runs, then RBX, RSI, RDI. */
const ones = [0xffn, 0xffffn, 0xffff_ffffn]
const targets: {
  title: string
  route: Route
  ends?: unknown[]
  values: bigint[]
  text?: number[]
}[] = [
  {
    title: 'console',
    route: { port: 0x200, length: 8, to: 'console' },
    values: ones,
    text: [0x11, 0x33, 0x22, 0x77, 0x66, 0x55, 0x44],
  },
  {
    title: 'constant with a number',
    route: { port: 0x200, length: 8, to: 'constant', value: 0xa1b2c3d4 },
    values: [0xd4n, 0xc3d4n, 0xa1b2c3d4n],
  },
  {
    title: 'constant with a bigint',
    route: { port: 0x200, length: 8, to: 'constant', value: 0x8877665544332211n },
    values: [0x11n, 0x2211n, 0x44332211n],
  },
  { title: 'discard', route: { port: 0x200, length: 8, to: 'discard' }, values: ones },
  { title: 'count', route: { port: 0x200, length: 8, to: 'count' }, values: ones },
  {
    title: 'stop',
    route: { port: 0x200, length: 8, to: 'stop' },
    ends: [0x11, 0x2233, 0x44556677],
    values: ones,
  },
  {
    title: 'device',
    route: { port: 0x200, length: 8, device: memoryDevice(new Uint8Array(8)) },
    values: [0x11n, 0x2233n, 0x44556677n],
  },
  {
    title: 'device, written out',
    route: { port: 0x200, length: 8, to: 'device', device: memoryDevice(new Uint8Array(8)) },
    values: [0x11n, 0x2233n, 0x44556677n],
  },
  {
    title: 'device without read',
    route: { port: 0x200, length: 8, device: { write: () => 5 } },
    values: ones,
  },
  {
    title: 'device without write',
    route: { port: 0x200, length: 8, device: { read: (offset, size) => offset * 16 + size } },
    values: [0x01n, 0x22n, 0x44n],
  },
]

for (const { title, route, ends = [], values, text = [] } of targets) {
  kvmTestBoth(`${title}: writes and reads of 1, 2 and 4 bytes`, async (t, run) => {
    using vm = machine(guests.pioSizes, [route])
    for (const exitCode of ends) {
      const result = await run(vm)
      t.is(result.reason, 'exit-port')
      t.is(result.exitCode, exitCode as number)
      t.is(result.exits, 1)
    }
    const result = await run(vm)
    t.is(result.reason, 'hlt')
    t.deepEqual([...result.output], text)
    const { rax, rbx, rsi, rdi } = vm.registers()
    t.deepEqual([rbx, rsi, rdi, rax], [...values, values[2]!])
    t.deepEqual(vm.counters().routes, [{ reads: 3, writes: 3 }])
    t.like(vm.counters().exits, { 'pio-out': 3, 'pio-in': 3, 'mmio-read': 0, hlt: 1 })
  })
}

kvmTestBoth('a device gets offset, size, value and vCPU, in order', async (t, run) => {
  const { device, asked } = recorder((offset, size) => offset * 256 + size)
  using vm = machine(guests.pioSizes, [{ port: 0x1f0, length: 0x20, device }])
  await run(vm)
  t.deepEqual(asked, [
    ...written.map(([write, offset, ...rest]) => [write, offset + 0x10, ...rest]),
    ['read', 0x10, 1, 0],
    ['read', 0x12, 2, 0],
    ['read', 0x14, 4, 0],
  ])
  const { rbx, rsi, rdi } = vm.registers()
  t.deepEqual([rbx, rsi, rdi], [0x01n, 0x1202n, 0x1404n])
})

kvmTestBoth('neighbouring routes share nothing and are counted apart', async (t, run) => {
  const middle = recorder(() => 0x1234)
  using vm = machine(guests.pioSizes, [
    { port: 0x204, length: 4, to: 'constant', value: 7 },
    { port: 0x200, to: 'count' },
    { port: 0x202, length: 2, device: middle.device },
    { port: 0x208, to: 'discard' },
  ])
  await run(vm)
  t.deepEqual(middle.asked, [
    ['write', 0, 2, 0x2233, 0],
    ['read', 0, 2, 0],
  ])
  const { rbx, rsi, rdi } = vm.registers()
  t.deepEqual([rbx, rsi, rdi], [0xffn, 0x1234n, 7n])
  const once = { reads: 1, writes: 1 }
  t.deepEqual(vm.counters().routes, [once, once, once, { reads: 0, writes: 0 }])
})

/** Port of a 4-byte access, which route gets it (`undefined`: none), at which offset. */
const firstBytes: [port: number, route: 0 | 1 | undefined, offset: number][] = [
  [0x1fd, undefined, 0],
  [0x1ff, undefined, 0],
  [0x200, 0, 0],
  [0x201, 0, 1],
  [0x202, 1, 0],
  [0x204, 1, 2],
  [0x205, undefined, 0],
]

for (const [port, route, offset] of firstBytes) {
  const owner = route === undefined ? 'nobody' : `route ${route} at ${offset}`
  kvmTestBoth(
    `an access of 4 bytes at 0x${port.toString(16)} belongs to ${owner}`,
    async (t, run) => {
      const routes = [recorder(() => 0xcafe_f00d), recorder(() => 0xcafe_f00d)] as const
      const claims = [
        { port: 0x200, length: 2, device: routes[0].device },
        { port: 0x202, length: 3, device: routes[1].device },
      ]
      for (const guest of [outs[4]!, ins[4]!]) {
        using vm = machine(guest, claims)
        vm.setRegisters({ rax: 0x0102_0304n, rdx: BigInt(port) })
        const { reason, exit } = await run(vm)
        if (route === undefined) t.like(exit, { port, size: 4, count: 1 })
        else t.is(reason, 'hlt')
      }
      const seen = [
        ['write', offset, 4, 0x0102_0304, 0],
        ['read', offset, 4, 0],
      ]
      t.deepEqual(routes[0].asked, route === 0 ? (seen as never) : [])
      t.deepEqual(routes[1].asked, route === 1 ? (seen as never) : [])
    },
  )
}

kvmTest('the last port and the first one can be claimed', async (t) => {
  for (const port of [0, 0xffff]) {
    const { device, asked } = recorder()
    using vm = machine(outs[1]!, [{ port, device }])
    vm.setRegisters({ rax: 5n, rdx: BigInt(port) })
    t.is((await runKinds.runSync(vm)).reason, 'hlt')
    t.deepEqual(asked, [['write', 0, 1, 5, 0]])
  }
})

class Timer implements Device {
  #ticks = 0
  readonly step = 3

  read(): number {
    return this.#ticks
  }

  write(_offset: number, _size: number, value: number | bigint): void {
    this.#ticks += this.step * Number(value)
  }
}

kvmTestBoth('a device may be an instance of a class', async (t, run) => {
  using vm = machine(guests.pioSizes, [{ port: 0x200, length: 8, device: new Timer() }])
  await run(vm)
  const sum = 3 * (0x11 + 0x2233 + 0x44556677)
  const { rbx, rsi, rdi } = vm.registers()
  t.deepEqual([rbx, rsi, rdi], [BigInt(sum & 0xff), BigInt(sum & 0xffff), BigInt(sum)])
})

kvmTestBoth(
  'a device method that is added or replaced later is the one that is called',
  async (t, run) => {
    const device: Device = { read: () => 1 }
    using vm = machine(guests.pioSizes, [{ port: 0x200, length: 8, device }])
    device.read = () => 2
    const { device: other, asked } = recorder()
    device.write = other.write
    await run(vm)
    t.is(vm.registers().rdi, 2n)
    t.deepEqual(asked, written as never)
  },
)

/** What a device may return, and what the guest then reads. */
const returned: [value: number | bigint, one: bigint, two: bigint, four: bigint, eight: bigint][] =
  [
    [0, 0n, 0n, 0n, 0n],
    [0x1234_5678, 0x78n, 0x5678n, 0x1234_5678n, 0x1234_5678n],
    [-1, 0xffn, 0xffffn, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn],
    [-129, 0x7fn, 0xff7fn, 0xffff_ff7fn, 0xffff_ffff_ffff_ff7fn],
    [2 ** 40 + 7, 7n, 7n, 7n, 0x100_0000_0007n],
    [0xffff_ffff, 0xffn, 0xffffn, 0xffff_ffffn, 0xffff_ffffn],
    [-0, 0n, 0n, 0n, 0n],
    [0xa1b2_c3d4_e5f6_0718n, 0x18n, 0x0718n, 0xe5f6_0718n, 0xa1b2_c3d4_e5f6_0718n],
    [-2n, 0xfen, 0xfffen, 0xffff_fffen, 0xffff_ffff_ffff_fffen],
    [-(2n ** 63n), 0n, 0n, 0n, 2n ** 63n],
  ]

kvmTestBoth('the low bytes of what a device returns count', async (t, run) => {
  for (const [value, one, two, four, eight] of returned) {
    const device = { read: () => value, write: () => undefined }
    using vm = machine(guests.pioSizes, [{ port: 0x200, length: 8, device }])
    await run(vm)
    const { rbx, rsi, rdi } = vm.registers()
    t.deepEqual([rbx, rsi, rdi], [one, two, four], `${value}`)

    using mapped = machine(mmioBothWays, [{ gpa: 0xd000_0000, length: 8, device }])
    mapped.setRegisters({ rbx: 0xd000_0000n })
    await run(mapped)
    t.is(mapped.registers().rcx, eight, `${value}`)
  }
})

kvmTestBoth('8 bytes are a bigint, whatever their value', async (t, run) => {
  for (const value of [0n, 5n, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn]) {
    const { device, asked } = recorder(() => value ^ 0xffn)
    using vm = machine(mmioBothWays, [{ gpa: 0xd000_0000, length: 0x1000, device }])
    vm.setRegisters({ rax: value, rbx: 0xd000_0ff8n })
    await run(vm)
    t.deepEqual(asked, [
      ['write', 0xff8, 8, value, 0],
      ['read', 0xff8, 8, 0],
    ])
    t.is(vm.registers().rcx, value ^ 0xffn)
  }
})

kvmTestBoth('a 4-byte value with the highest bit set is no negative number', async (t, run) => {
  const { device, asked } = recorder(() => 0x8000_0001)
  for (const guest of [outs[4]!, ins[4]!]) {
    using vm = machine(guest, [{ port: 0x200, device }])
    vm.setRegisters({ rax: 0xffff_fffen, rdx: 0x200n })
    await run(vm)
    if (guest === ins[4]) t.is(vm.registers().rax, 0x8000_0001n)
  }
  t.deepEqual(asked[0], ['write', 0, 4, 0xffff_fffe, 0])
})

kvmTestBoth('a narrow read leaves the rest of the register alone', async (t, run) => {
  const before = 0x1122_3344_5566_7788n
  // A 32-bit result clears the upper half (Intel SDM vol. 1 §3.4.1.1).
  const after: [number, bigint][] = [
    [1, 0x1122_3344_5566_77aan],
    [2, 0x1122_3344_5566_bbaan],
    [4, 0xddcc_bbaan],
  ]
  for (const [size, rax] of after) {
    using vm = machine(ins[size]!, [{ port: 0x200, to: 'constant', value: 0xddcc_bbaa }])
    vm.setRegisters({ rax: before, rdx: 0x200n })
    await run(vm)
    t.is(vm.registers().rax, rax, `${size}`)
  }
})

kvmTestBoth('a write to a stop route ends the run with its low 32 bits', async (t, run) => {
  for (const [size, exitCode] of [
    [1, 0x88],
    [2, 0x7788],
    [4, 0x55667788],
  ] as const) {
    using vm = machine(outs[size]!, [{ port: 0x200, to: 'stop' }])
    vm.setRegisters({ rax: 0x11223344_55667788n, rdx: 0x200n })
    const result = await run(vm)
    t.is(result.exitCode, exitCode)
    const [port, data] = [0x200, toBytes(exitCode, size)]
    const exit = { reason: 'pio-out', port, size, count: 1, value: exitCode, data } as const
    t.deepEqual(result.exit, exit)
  }
  using vm = machine(mmioBothWays, [{ gpa: 0xd000_0000, length: 8, to: 'stop' }])
  vm.setRegisters({ rax: 0x11223344_55667788n, rbx: 0xd000_0000n })
  const result = await run(vm)
  t.is(result.reason, 'exit-port')
  t.is(result.exitCode, 0x55667788)
  t.like(result.exit, { reason: 'mmio-write', size: 8, value: 0x11223344_55667788n })
  t.is((await run(vm)).reason, 'hlt')
  t.is(vm.registers().rcx, 2n ** 64n - 1n)
})

kvmTestBoth('a guest in ring 3 reaches the same routes', async (t, run) => {
  const routes: Route[] = [
    { port: 0x200, to: 'count' },
    { port: 0xf4, to: 'stop' },
  ]
  using vm = machine(guests.count, routes, { privilege: 'user' })
  vm.memory.writeUint32(0x500, 300)
  const result = await run(vm)
  t.is(result.exitCode, 300 & 0xff)
  t.is(vm.registers().rax, 300n)
  t.deepEqual(vm.counters().routes, [
    { reads: 0, writes: 300 },
    { reads: 0, writes: 1 },
  ])
})

kvmTestBoth('a guest asks a device and tells it, turn by turn', async (t, run) => {
  const rounds = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe]
  const questions = [...rounds, 0xffff_ffff]
  const answers: (number | bigint)[] = []
  using vm = machine(guests.ask, [
    { port: 0x61, device: { read: () => questions.shift() ?? 0 } },
    { port: 0x62, device: { write: (_offset, _size, value) => answers.push(value) } },
  ])
  t.is((await run(vm)).reason, 'hlt')
  t.deepEqual(answers, [1, 2, 0x8000_0000, 0x8000_0001, 0xffff_ffff])
  t.is(vm.registers().rax, 5n)
})

kvmTestBoth(
  'counters go on from run to run and can be read while the guest runs',
  async (t, run) => {
    const seen: number[] = []
    const device = {
      write: () => {
        seen.push(vm.counters().exits['pio-out'])
      },
    }
    using vm = machine(guests.numbered, [{ port: 0x200, device }])
    vm.memory.writeUint32(0x500, 4)
    await run(vm)
    t.deepEqual(seen, [1, 2, 3, 4])
    vm.setRegisters({ rip: 0n, rsp: 0x20_0000n })
    t.is((await run(vm)).exits, 5)
    t.like(vm.counters(), {
      exits: { 'pio-out': 8, hlt: 2 },
      routes: { 0: { reads: 0, writes: 8 } },
    })
  },
)

test('the helpers are inverse to each other', (t) => {
  for (const value of [0, 0x11, 0x2233, 0xffff_ffff]) t.is(fromBytes(toBytes(value, 4)), value)
  t.is(fromBytes(toBytes(-2n, 8)), 0xffff_ffff_ffff_fffen)
})
