// Random small programs that come to their end: loops, calls, pushes, memory, strings, ports. They say where each instruction is, and keep to the same bytes in
// 32 and 64 bits.

export const CODE = 0x1000
/** Of each vCPU a part: what it works on, and below STACKS its stack. */
export const DATA = 0x4000
const STACKS = 0x9000
export const PART_BYTES = 0x400
/** What handlers of interrupts count. */
export const COUNTER = 0x3800
/** Ports: a device's, one that goes nowhere, and the one to which a vCPU says that it is at its end. */
export const PORTS = { device: 0xb0, nowhere: 0xb1, done: 0xb2 }

const [EAX, ECX, EDX, EBX, EBP, ESI, EDI] = [0, 1, 2, 3, 5, 6, 7]
const SCRATCH = [EAX, EDX]

const le = (value, bytes) =>
  Array.from({ length: bytes }, (_, at) => (value / 2 ** (8 * at)) & 0xff)

/** Code that grows, with the address of each instruction. */
class Writer {
  bytes = []
  starts = []

  constructor(mode) {
    this.mode = mode
    this.width = mode === 'real' ? 2 : 4
  }

  get here() {
    return CODE + this.bytes.length
  }

  add(...bytes) {
    this.starts.push(this.here)
    this.bytes.push(...bytes)
  }

  immediate(value) {
    return le(value >>> 0, this.width)
  }

  /** ModRM of (E)BX and a displacement of 8 bits. */
  memory(register, displacement) {
    return [0x40 | (register << 3) | (this.width === 2 ? 7 : 3), displacement & 0x7f]
  }

  /** ModRM of an address. */
  absolute(register, address) {
    if (this.mode === 'real') return [(register << 3) | 6, ...le(address, 2)]
    if (this.mode === 'long') return [(register << 3) | 4, 0x25, ...le(address, 4)]
    return [(register << 3) | 5, ...le(address, 4)]
  }

  /** A jump back, or a call, whose operand is as wide as the mode. */
  jump(opcode, target) {
    const end = this.here + opcode.length + this.width
    this.add(...opcode, ...this.immediate(target - end))
  }
}

/** `test`: what comes before leaves flags undefined, and an emulated processor computes those otherwise when it is interrupted. */
const defineFlags = (it) => it.add(0x85, 0xc0)

const plain = {
  alu: (it, random) => {
    const opcode = random.pick([0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x87])
    it.add(opcode, 0xc0 | (random.pick(SCRATCH) << 3) | random.pick(SCRATCH))
  },
  immediate: (it, random) => {
    const group = random.pick([0, 1, 4, 5, 6, 7])
    it.add(0x83, 0xc0 | (group << 3) | random.pick(SCRATCH), random.below(256))
  },
  load: (it, random) => it.add(0xb8 | random.pick(SCRATCH), ...it.immediate(random.next())),
  shift: (it, random) => {
    it.add(
      0xc1,
      0xc0 | (random.pick([0, 1, 4, 5, 7]) << 3) | random.pick(SCRATCH),
      random.below(32),
    )
    defineFlags(it)
  },
  unary: (it, random) => it.add(0xf7, 0xd0 | (random.below(2) << 3) | random.pick(SCRATCH)),
  multiply: (it, random) => {
    it.add(0x0f, 0xaf, 0xc0 | (random.pick(SCRATCH) << 3) | EAX)
    defineFlags(it)
  },
  set: (it, random) => it.add(0x0f, 0x90 | random.below(16), 0xc0),
  move: (it, random) => it.add(0x0f, 0x40 | random.below(16), 0xc0 | (EAX << 3) | EDX),
  read: (it, random) => {
    it.add(random.pick([0x8a, 0x8b, 0x03, 0x33, 0x3b]), ...it.memory(EAX, random.below(120)))
  },
  write: (it, random) => {
    const opcode = random.pick([0x88, 0x89, 0x01, 0x31, 0x87, 0x10])
    it.add(opcode, ...it.memory(random.pick(SCRATCH), random.below(120)))
  },
  modify: (it, random) => it.add(0xff, ...it.memory(random.below(2), random.below(120))),
  exchange: (it, random) => it.add(0xf0, 0x0f, 0xc1, ...it.memory(EDX, random.below(120))),
  bit: (it, random) => {
    it.add(0x0f, 0xba, ...it.memory(4 + random.below(4), 0), random.below(16))
    defineFlags(it)
  },
  push: (it, random) => {
    it.add(0x50 | random.pick(SCRATCH))
    it.add(0x58 | random.pick(SCRATCH))
  },
  flags: (it) => {
    it.add(0x9c)
    it.add(0x58 | EDX)
    it.add(0x83, 0xe0 | EDX, 0x40)
  },
  frame: (it) => {
    it.add(0xc8, 16, 0, 0)
    it.add(0xc9)
  },
  string: (it, random) => {
    it.add(0x89, 0xc0 | (EBX << 3) | EDI)
    it.add(0x89, 0xc0 | (EBX << 3) | ESI)
    it.add(0x50 | ECX)
    it.add(0xb8 | ECX, ...it.immediate(random.below(12)))
    const repeats = random.oneIn(3) ? [] : [0xf3]
    it.add(...repeats, random.pick([0xa4, 0xa5, 0xaa, 0xab, 0xac]))
    it.add(0x58 | ECX)
  },
  out: (it, random) => it.add(0xe6, random.pick([PORTS.device, PORTS.nowhere])),
  in: (it) => it.add(0xe4, PORTS.device),
  nothing: (it) => it.add(0x90),
}
function straight(it, random) {
  for (let left = random.between(1, 6); left > 0; left--)
    plain[random.pick(Object.keys(plain))](it, random)
}

/** `depth` loops within each other at most, and calls of what lies before. */
function block(it, random, depth, procedures) {
  straight(it, random)
  for (let left = random.between(0, 2); left > 0; left--) {
    if (procedures.length > 0 && random.oneIn(2)) it.jump([0xe8], random.pick(procedures))
    else if (depth > 0) loop(it, random, depth, procedures)
    else skip(it, random)
    straight(it, random)
  }
}

function loop(it, random, depth, procedures) {
  it.add(0x50 | ECX)
  it.add(0xb8 | ECX, ...it.immediate(random.between(1, 5)))
  const top = it.here
  block(it, random, depth - 1, procedures)
  if (it.mode === 'long') it.add(0xff, 0xc8 | ECX)
  else it.add(0x48 | ECX)
  it.jump([0x0f, 0x85], top)
  it.add(0x58 | ECX)
}

/** A jump over an instruction, taken or not. */
function skip(it, random) {
  it.add(0x70 | random.below(16), 1)
  it.add(0x90)
}

/** The vCPU's own part of memory, by its index in EDI, and interrupts where there are. */
function prologue(it, interrupts) {
  it.add(0x89, 0xc0 | (EDI << 3) | EAX)
  it.add(0xc1, 0xe0, 10)
  it.add(0xb8 | ECX, ...it.immediate(STACKS))
  it.add(0x29, 0xc0 | (EAX << 3) | ECX)
  it.add(0x89, 0xc0 | (ECX << 3) | 4)
  it.add(0x05, ...it.immediate(DATA))
  it.add(0x89, 0xc0 | (EAX << 3) | EBX)
  it.add(0x31, 0xc0 | (EBP << 3) | EBP)
  if (interrupts) {
    it.add(0xfb)
    it.add(0x90)
  }
}

/** Counts an interrupt, and goes back. `kvm_pvm` emulates `iret` in real mode alone. */
function handler(it) {
  const start = it.here
  const count = it.absolute(0, COUNTER)
  if (it.mode === 'real') {
    it.add(0xf0, 0xff, ...count)
    it.add(0xcf)
    return start
  }
  if (it.mode === 'protected') {
    it.add(0xf0, 0xff, ...count)
    it.add(0xff, 0x74, 0x24, 8) // push 8(%esp), the flags
    it.add(0x9d)
    it.add(0xc2, 8, 0)
    return start
  }
  it.add(0x50 | EAX)
  it.add(0x50 | ECX)
  it.add(0xf0, 0xff, ...count)
  it.add(0x48, 0x8b, 0x4c, 0x24, 0x28) // mov 0x28(%rsp), %rcx: the stack pointer
  it.add(0x48, 0x83, 0xe9, 8)
  it.add(0x48, 0x8b, 0x44, 0x24, 0x10) // mov 0x10(%rsp), %rax: where to
  it.add(0x48, 0x89, 0x01)
  it.add(0x48, 0x89, 0x4c, 0x24, 0x28)
  it.add(0xff, 0x74, 0x24, 0x20) // the flags
  it.add(0x9d)
  it.add(0x58 | ECX)
  it.add(0x58 | EAX)
  it.add(0x48, 0x8b, 0x64, 0x24, 0x18)
  it.add(0xc3)
  return start
}

/** A program: its bytes, and the addresses of its instructions, of its main part, its end and its handler. */
export function program(random, mode, interrupts) {
  const it = new Writer(mode)
  const procedures = []
  // Over what follows, whose end is not known yet.
  it.jump([0xe9], 0)
  for (let left = random.below(3); left > 0; left--) {
    const start = it.here
    block(it, random, 0, procedures)
    it.add(0xc3)
    procedures.push(start)
  }
  const at = interrupts ? handler(it) : undefined
  const main = it.here
  const first = 1 + it.width
  it.bytes.splice(1, it.width, ...it.immediate(main - CODE - first))
  prologue(it, interrupts)
  block(it, random, random.between(1, 2), procedures)
  const done = it.here
  it.add(0xe6, PORTS.done)
  // Until the last vCPU is here.
  const spin = it.here
  it.add(0xf3, 0x90)
  it.add(0xeb, 0xfc)
  const code = Buffer.from(it.bytes).toString('hex')
  return { code, starts: it.starts, main, done, spin, ...(interrupts && { handler: at }) }
}
