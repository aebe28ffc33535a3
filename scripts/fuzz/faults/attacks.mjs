// What ring 3 can do about the trap table, each with the exceptions that it may raise.

const IDT = 0xfe00_3200
const STUBS = 0xfe00_3400
/** GDT, TSS, its pointer to the stack, IDT, stubs, the stack, page tables. */
const TABLES = [
  0xfe00_0000,
  0xfe00_1000,
  0xfe00_1024,
  IDT,
  STUBS,
  0xfe00_3fd8,
  0xfe00_4000,
  0xfe00_6000,
]
const FAULT_PORT = 0xfa
/** What kvm_pvm takes for calls of its own: 0x1a is its `cpuid`. */
const PVM_CALLS = [0x19, 0x1a]
const [DB, BP, UD, SS, GP, PF, AC] = [1, 3, 6, 12, 13, 14, 17]
/** Page faults of ring 3 where a page is that is ring 0's: to read or execute, to write. */
const [READ, WRITE] = [5, 7]

/** Bytes of a number, the lowest first. */
export const le = (value, bytes) =>
  Array.from({ length: bytes }, (_, at) => Number((BigInt(value) >> BigInt(8 * at)) & 0xffn))

/** movabs of a value to a register: RAX 0, RSP 4. */
const load = (register, value) => [0x48, 0xb8 | register, ...le(value, 8)]

const stub = (random) => STUBS + 16 * random.below(32) + random.pick([0, 0, 0, 2, 4, 5])

/** The places of a step's instruction, which comes after `first`. */
const after = (first, instruction, start, expected) => ({
  code: [...first, ...instruction],
  at: start + first.length,
  ...expected,
})

const kinds = {
  jump(random, start) {
    const target = stub(random)
    const [code, movesStack] = random.pick([
      [[0xff, 0xe0], false],
      [[0xff, 0xd0], true],
      [[0x50, 0xc3], true],
    ])
    const fault = { vectors: [PF], errorCode: READ, address: target, target, movesStack }
    return after(load(0, target), code, start, fault)
  },
  write(random, start) {
    const address = random.pick(TABLES) + 8 * random.below(8)
    const [code, errorCode] = random.pick([
      [[0x48, 0x89, 0x00], WRITE],
      [[0x88, 0x00], WRITE],
      // An emulated processor may read before it writes.
      [
        [0xf0, 0x83, 0x00, 0x01],
        [WRITE, READ],
      ],
      [[0x0f, 0x01, 0x08], WRITE],
      [[0x0f, 0xae, 0x18], WRITE],
    ])
    return after(load(0, address), code, start, { vectors: [PF], errorCode, address })
  },
  read(random, start) {
    const address = random.pick(TABLES) + 8 * random.below(8)
    const fault = { vectors: [PF], errorCode: READ, address }
    return after(load(0, address), [0x48, 0x8b, 0x00], start, fault)
  },
  out(random, start) {
    const code = random.pick([
      [0xe6, FAULT_PORT],
      [0xe7, FAULT_PORT],
      [0x66, 0xe7, FAULT_PORT],
      [0xee],
      [0xef],
      [0x6e],
      [0xf3, 0x6e],
      [0xe4, FAULT_PORT],
      [0xec],
    ])
    // DX is 0xfa, RSI a buffer.
    return after([], code, start, { vectors: [AC], port: FAULT_PORT })
  },
  otherPort(random, start) {
    const port = random.below(0x100)
    return after([], [0xe6, port], start, { vectors: [], port })
  },
  segment(random, start) {
    const selector = random.pick([
      0,
      1,
      2,
      3,
      8,
      0x10,
      0x18,
      0x1b,
      0x20,
      0x23,
      0x28,
      0x2b,
      random.below(0x1_0000),
    ])
    const first = [0xb8, ...le(selector, 4)]
    const code = [0x8e, 0xc0 | (random.pick([0, 2, 3, 4, 5]) << 3)]
    // What a KVM without a processor of its own finds at a selector is the host's.
    return after(first, code, start, { vectors: [11, SS, GP] })
  },
  stack(random, start) {
    const value = random.pick([
      0n,
      0xfe00_4000n,
      0xfe00_3fd8n,
      0x8000_0000_0000_0000n,
      1n << 40n,
      0x7ff3n,
    ])
    return after(load(4, value), [0x50], start, { vectors: [PF, SS, GP, AC], movesStack: true })
  },
  flags(random, start) {
    const flags = random.pick([0x102, 0x4_0002, 0x3002, 0x202, 0x402, 0x4002])
    // push imm32; popfq; nop
    const code = [0x68, ...le(flags, 4), 0x9d, 0x90]
    const vectors = [DB, GP, PF, SS, AC]
    return after([], code, start, { vectors, target: start + 5, movesStack: true })
  },
  far(random, start) {
    const selector = random.pick([0x23, 0x1b, 8, 0xb, 0x20, 0, random.below(0x1_0000)])
    const stack = random.pick([0x1b, 0x23, 0x10, 0])
    // iretq to the instruction after it: SS, RSP, RFLAGS, CS, RIP.
    const begin = start + 32
    const code = [
      ...[0x6a, stack, 0x68, ...le(0x7f00, 4), 0x68, ...le(random.pick([0x3002, 0x202]), 4)],
      ...[0x68, ...le(selector, 4), 0x68, ...le(begin, 4), 0x48, 0xcf],
    ]
    const padded = [...code, ...Array.from({ length: 32 - code.length }, () => 0x90)]
    const at = start + code.length - 2
    return {
      code: padded,
      at,
      vectors: [11, SS, GP, PF, UD],
      movesStack: true,
      target: begin,
      isOdd: selector !== 0x23 || stack !== 0x1b,
    }
  },
  privileged(random, start) {
    const code = random.pick([
      [0xf4],
      [0x0f, 0x01, 0x18],
      [0x0f, 0x22, 0xd8],
      [0x0f, 0x30],
      [0x0f, 0x00, 0xd8],
      [0x0f, 0x09],
    ])
    return after(load(0, 0x4000), code, start, { vectors: [GP] })
  },
  interrupt(random, start) {
    const any = random.pick([random.below(32), random.below(256), 0x80])
    const vector = PVM_CALLS.includes(any) ? 0x80 : any
    const code = vector === 3 ? [0xcc] : [0xcd, vector]
    return after([], code, start, { vectors: [BP, 4, UD, GP], target: start + code.length })
  },
  undefined: (_, start) => after([], [0x0f, 0x0b], start, { vectors: [UD] }),
}

/** Code that lies at an address, and what may come of it: `at` is its instruction, `target` where else RIP may be. */
export function attack(random, start) {
  return random.pick(Object.values(kinds))(random, start)
}
