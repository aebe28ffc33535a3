// A library that calls its host and its kernel with whatever there is: each call has an answer, or
// ends as its own fault, and nothing outlives a reset.
import { GuestFault, GuestTimeout, instantiate } from '../src/process/index.ts'
import { readElf } from '../src/debug/elf.ts'
import { readDeclarations } from '../src/process/section.ts'
import { imageTest } from './helpers/library.ts'
import { nativeImage, warnings } from './helpers/native.ts'
import { randomBelow } from './helpers/random.ts'

const rounds = process.env['VMEXIT_SOAK'] === '1' ? 1_000_000 : 3000

const hostile = () =>
  nativeImage('hostile', {
    tool: 'cc',
    sources: ['hostile.c'],
    options: ['-O2', ...warnings, '-nostdlib', '-static', '-Wl,--entry=0'],
  })

/** Numbers that something answers, and one of nothing. */
const NUMBERS = [
  0, 1, 3, 4, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 22, 24, 25, 28, 32, 33, 34, 35,
]
  .concat([39, 41, 56, 57, 59, 62, 63, 72, 77, 96, 97, 131, 157, 158, 186, 200, 202, 218, 228, 230])
  .concat([231, 234, 257, 293, 302, 318, 319, 334, 999])

imageTest('whatever it asks for, on whatever stack', hostile, async (t, image) => {
  const section = readElf(image)!.sections.find(({ name }) => name === '.vmexit')!
  const imports = readDeclarations(section).imports.map(({ address }) => address)
  const below = randomBelow(0x0dd_ba11)
  using lib = await instantiate(image, {
    exports: {
      ask: 'u64(u64, u64, u64, u64, u64, u64, u64, u64)',
      add: 'i32(i32, i32)',
      reach: 'f64()',
    },
    imports: {
      weigh: ['f64(cstr, i64, f32)', (text) => (text ?? '').length],
      visit: ['i32(ptr, usize)', (address) => address % 1000],
    },
    timeoutMs: 300_000,
    onOutput: () => undefined,
  })
  const block = BigInt(lib.alloc(8192))
  const edges = [0n, 1n, 7n, 1n << 31n, 1n << 32n, 1n << 47n, 1n << 63n, (1n << 64n) - 1n]
  const ours = [0xfe00_0000n, 0xfea0_0000n, 0xfea0_1000n, 0x40_1000n, 0x7fff_0000_0000n - 4096n]
  const bases = [...edges, ...ours, ...imports, block, block + 4090n, block + 8192n]
  const word = (): bigint => {
    const base = bases[below(bases.length)]!
    const near = below(4) === 0 ? BigInt(below(1 << 20)) : BigInt(below(32)) - 16n
    return BigInt.asUintN(64, below(8) === 0 ? BigInt(below(100)) : base + near)
  }
  const number = (): bigint =>
    below(3) === 0
      ? below(2) === 0
        ? imports[below(imports.length)]!
        : word()
      : BigInt(NUMBERS[below(NUMBERS.length)]!)
  let [answered, faults] = [0, 0]
  for (let round = 0; round < rounds; round += 1) {
    try {
      const stack = below(4) === 0 ? word() : 0n
      lib.exports.ask(number(), word(), word(), word(), word(), word(), word(), stack)
      answered += 1
      if (below(20) === 0) lib.reset()
    } catch (error) {
      const isGuest = error instanceof GuestFault || error instanceof GuestTimeout
      if (!isGuest) throw error
      faults += 1
      lib.reset()
    }
    if (round % 10 > 0) continue
    // It may have taken its own code away.
    try {
      if (lib.exports.add(round, 1) !== round + 1) return t.fail(`round ${round}`)
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error
      lib.reset()
    }
  }
  lib.reset()
  t.is(lib.exports.add(40, 2), 42)
  t.is(lib.exports.reach() >= 4, true)
  t.log(`${answered} answers, ${faults} faults`)
  t.true(answered > rounds / 10 && faults > rounds / 20)
})
