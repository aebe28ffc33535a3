// calls: 'spin': a vCPU that waits for calls on a core of its own, and libraries that write to the
// mailbox through which they come.
import { setTimeout as wait } from 'node:timers/promises'

import { benchLibrary } from '../src/bench/library.ts'
import { computeImage, hexBytes } from '../src/bench/images.ts'
import { VmError } from '../src/index.ts'
import { GuestFault, GuestTimeout, instantiate } from '../src/process/index.ts'
import { kvmTest } from './helpers/kvm.ts'

const image = benchLibrary({
  add: hexBytes(`
    8d 04 37                lea eax, [rdi + rsi]
    c3                      ret
  `),
  compute: computeImage,
  for_ever: hexBytes(`
    eb fe                   jmp -2
  `),
  wild: hexBytes(`
    89 04 25 00 00 00 00    mov [0], eax
  `),
  ask: hexBytes(`
    b8 78 00 40 00          mov eax, 0x400078, the import's record
    0f 05                   syscall
    48 ff cf                dec rdi
    75 f4                   jnz -12
    c3                      ret
  `),
  identity: hexBytes(`
    b8 27 00 00 00          mov eax, 39
    0f 05                   syscall
    c3                      ret
  `),
  claims: hexBytes(`
    b9 00 11 a0 fe          mov ecx, 0xfea01100
    8b 01                   mov eax, [rcx]
    89 41 40                mov [rcx + 0x40], eax: the call is done
    eb fe                   jmp -2
  `),
  scribbles: hexBytes(`
    bf 00 10 a0 fe          mov edi, 0xfea01000
    b9 00 10 00 00          mov ecx, 0x1000
    b0 ff                   mov al, 0xff
    f3 aa                   rep stosb
    c3                      ret
  `),
  waits_long: hexBytes(`
    b9 00 11 a0 fe          mov ecx, 0xfea01100
    48 c7 41 08 ff ff ff ff mov qword [rcx + 8], -1
    b8 07 00 00 00          mov eax, 7
    c3                      ret
  `),
  parks: hexBytes(`
    b8 3e 02 a0 fe          mov eax, 0xfea0023e, where the vCPU gives up
    ff e0                   jmp rax
  `),
})

const signatures = {
  add: 'i32(i32, i32)',
  compute: 'u64(usize)',
  for_ever: 'void()',
  wild: 'void()',
  ask: 'void(usize)',
  identity: 'i32()',
  claims: 'void()',
  scribbles: 'void()',
  waits_long: 'i32()',
  parks: 'void()',
} as const

const library = (timeoutMs: number, ask: () => unknown = () => undefined, spinMs = 1) =>
  instantiate(image, {
    exports: signatures,
    imports: { ask: ['void()', ask as () => undefined] },
    calls: 'spin',
    spinMs,
    timeoutMs,
  })

/** So long that no busy host reaches it. */
const longMs = 300_000
const shortMs = 500

const code = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof VmError ? error.code : (error as Error).constructor.name
  }
  return undefined
}

kvmTest('calls come back, one after the other and after any time', async (t) => {
  using lib = await library(longMs)
  for (let round = 0; round < 10_000; round += 1) {
    if (lib.exports.add(round, -7) !== round - 7) return t.fail(`${round}`)
  }
  // Up to far more than the vCPU waits.
  for (const ms of [0, 1, 2, 5, 60]) {
    await wait(ms)
    t.is(lib.exports.add(40, 2), 42)
  }
  t.is(typeof lib.exports.compute(3_000_000), 'bigint')
})

kvmTest('a vCPU that no call ends for long goes on at the next one', async (t) => {
  using lib = await library(longMs, undefined, 0)
  for (let round = 0; round < 300; round += 1) t.is(lib.exports.add(round, 1), round + 1)
})

kvmTest('memory is the same between calls, and reset() is as without', async (t) => {
  using lib = await library(longMs)
  const at = lib.alloc(64)
  lib.memory.write(at, Uint8Array.of(1, 2, 3))
  t.is(lib.exports.add(1, 2), 3)
  t.deepEqual([...lib.memory.read(at, 3)], [1, 2, 3])
  lib.reset()
  t.is(lib.exports.add(2, 2), 4)
  t.is(await lib.async.add(5, 6), 11)
  t.is(lib.exports.add(5, 7), 12)
})

kvmTest('imports, and system calls that Rust answers', async (t) => {
  let asked = 0
  using lib = await library(longMs, () => (asked += 1))
  lib.exports.ask(5)
  t.is(asked, 5)
  t.true(lib.exports.identity() > 0)
  t.is(lib.exports.add(1, 1), 2)
  lib.exports.ask(1)
  t.is(asked, 6)
})

kvmTest('faults and time-outs, each followed by reset() and a right answer', async (t) => {
  using lib = await library(shortMs)
  for (let round = 0; round < 20; round += 1) {
    const fault = t.throws(() => lib.exports.wild(), { instanceOf: GuestFault })
    t.like(fault, { vector: 14, address: 0n })
    t.is(
      code(() => lib.exports.add(1, 2)),
      'ERR_VM_BUSY',
    )
    lib.reset()
    t.is(lib.exports.add(1, round), round + 1)
    t.throws(() => lib.exports.for_ever(), { instanceOf: GuestTimeout })
    lib.reset()
    t.is(lib.exports.add(2, round), round + 2)
  }
})

kvmTest('a library that says too early that it is done misses no time-out', async (t) => {
  using lib = await library(shortMs)
  lib.exports.claims()
  // It computes for ever, and looks for no call.
  t.throws(() => lib.exports.add(1, 2), { instanceOf: GuestTimeout })
  lib.reset()
  t.is(lib.exports.add(1, 2), 3)
})

kvmTest('what a library writes to the mailbox harms its own calls alone', async (t) => {
  using lib = await library(shortMs)
  for (let round = 0; round < 20; round += 1) {
    code(() => lib.exports.scribbles())
    lib.reset()
    t.is(lib.exports.add(round, 2), round + 2)
  }
})

kvmTest('a library cannot make its vCPU wait for ever', async (t) => {
  using lib = await library(longMs)
  t.is(lib.exports.waits_long(), 7)
  const used = () => process.cpuUsage().user
  // The watcher looks every 20 ms or so; idle is what takes hardly any time.
  const isIdle = async () => {
    const before = used()
    await wait(200)
    return used() - before < 100_000
  }
  let idle = false
  for (let look = 0; look < 50 && !idle; look += 1) idle = await isIdle()
  t.true(idle)
  t.is(lib.exports.add(1, 2), 3)
})

kvmTest(
  'a library that gives up in the midst of a call is called until its time is up',
  async (t) => {
    using lib = await library(shortMs)
    t.throws(() => lib.exports.parks(), { instanceOf: GuestTimeout })
    lib.reset()
    t.is(lib.exports.add(1, 2), 3)
    // Without a vCPU that waits, nothing is there to give up.
    const plain = { exports: signatures, imports: { ask: ['void()', () => undefined] } } as const
    using other = await instantiate(image, plain)
    t.throws(() => other.exports.parks(), { instanceOf: GuestFault })
  },
)

kvmTest('close() ends a vCPU that waits, and one library more is none of the others', async (t) => {
  const libraries = await Promise.all(
    Array.from({ length: 4 }, () => library(longMs, undefined, 500)),
  )
  for (const [index, lib] of libraries.entries()) t.is(lib.exports.add(index, 1), index + 1)
  for (const lib of libraries) lib.close()
  t.is(
    code(() => libraries[0]!.exports.add(1, 2)),
    'ERR_VM_CLOSED',
  )
})
