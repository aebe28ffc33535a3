// Machine code that asks the host for something: ports, strings, MMIO, control and model-specific registers, descriptor tables, far jumps, halts.
// `random` decides; `width` is the operand size of the mode, 2 or 4 bytes.

const le = (value, bytes) =>
  Array.from({ length: bytes }, (_, index) => (value / 2 ** (8 * index)) & 0xff)

/** ModRM (and SIB) of an absolute address. */
function absolute({ mode }, register, address) {
  if (mode === 'real') return [(register << 3) | 6, ...le(address & 0xffff, 2)]
  if (mode === 'long') return [(register << 3) | 4, 0x25, ...le(address, 4)]
  return [(register << 3) | 5, ...le(address, 4)]
}

const address = ({ random, places }) =>
  random.pick(random.oneIn(3) ? places.memory : places.mmio) + random.below(16)

const load = (at, register, value) => [0xb8 | register, ...le(value, at.width)]

/** DX, mostly a port that has a route. */
const port = (at) =>
  load(at, 2, at.random.oneIn(8) ? at.random.below(0x1_0000) : at.random.pick(at.places.ports))

const prefix = ({ random }) => (random.oneIn(3) ? [0x66] : [])

const grammar = {
  out: (at) => [...port(at), ...prefix(at), at.random.pick([0xee, 0xef])],
  outShort: (at) => [
    ...prefix(at),
    at.random.pick([0xe6, 0xe7]),
    at.random.pick(at.places.ports) & 0xff,
  ],
  in: (at) => [...port(at), ...prefix(at), at.random.pick([0xec, 0xed])],
  string: (at) => [
    ...port(at),
    ...load(at, 1, at.random.oneIn(20) ? 5000 : at.random.below(40)),
    ...load(at, at.random.pick([6, 7]), address(at)),
    ...(at.random.oneIn(4) ? [0xfd] : []),
    ...(at.random.oneIn(3) ? [] : [at.random.pick([0xf2, 0xf3])]),
    ...prefix(at),
    at.random.pick([0x6c, 0x6d, 0x6e, 0x6f, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xa6, 0xae]),
  ],
  store: (at) => [
    ...prefix(at),
    ...wideOperand(at),
    at.random.pick([0x88, 0x89]),
    ...absolute(at, at.random.below(8), address(at)),
  ],
  load: (at) => [
    ...prefix(at),
    ...wideOperand(at),
    at.random.pick([0x8a, 0x8b]),
    ...absolute(at, at.random.below(4), address(at)),
  ],
  modify: (at) => [
    ...(at.random.oneIn(2) ? [0xf0] : []),
    at.random.pick([0x00, 0x01, 0x28, 0x29, 0x30, 0x86, 0x87, 0xfe, 0xff]),
    ...absolute(at, at.random.pick([0, 1]), address(at)),
  ],
  segment: (at) => [
    ...load(at, 0, at.random.pick([0x9000, 0xa000, 0xf000, 8, 16, 0, at.random.below(0x1_0000)])),
    0x8e,
    0xc0 | (at.random.below(6) << 3),
  ],
  control: (at) => [
    ...maybeLoad(at),
    0x0f,
    at.random.pick([0x20, 0x22]),
    0xc0 | (at.random.pick([0, 2, 3, 4, 8 & 7, at.random.below(8)]) << 3),
  ],
  debug: (at) => [
    ...maybeLoad(at),
    0x0f,
    at.random.pick([0x21, 0x23]),
    0xc0 | (at.random.below(8) << 3),
  ],
  model: (at) => [
    ...load(at, 1, modelRegister(at)),
    ...maybeLoad(at),
    0x0f,
    at.random.pick([0x30, 0x32]),
  ],
  extended: (at) => [
    ...load(at, 1, at.random.below(2)),
    ...load(at, 0, at.random.below(8)),
    ...load(at, 2, 0),
    0x0f,
    0x01,
    at.random.pick([0xd0, 0xd1]),
  ],
  table: (at) => [
    0x0f,
    at.random.pick([0x00, 0x01]),
    ...absolute(at, at.random.below(8), address(at)),
  ],
  farJump: (at) =>
    at.mode === 'long'
      ? [0xff, ...absolute(at, at.random.pick([3, 5]), address(at))]
      : [
          at.random.pick([0xea, 0x9a]),
          ...le(at.random.pick([0x1000, at.random.integer()]), at.width),
          ...le(at.random.pick([0, 8, at.random.below(0x1_0000)]), 2),
        ],
  farReturn: (at) => [at.random.pick([0xcb, 0xcf, 0xc3, 0xc9])],
  trap: (at) =>
    at.random.pick([
      [0xcc],
      [0xcd, at.random.below(256)],
      [0xf1],
      [0x0f, 0x0b],
      [0x0f, 0x05],
      [0x0f, 0x34],
      [0x0f, 0x07],
    ]),
  hypercall: (at) => [
    0x0f,
    0x01,
    at.random.pick([0xc1, 0xd9, 0xc8, 0xc9, 0xca, 0xcb, 0xf8, 0xf9, 0xde]),
  ],
  halt: () => [0xf4],
  flags: (at) => [at.random.pick([0xfa, 0xfb, 0xfc, 0xfd, 0x9c, 0x9d, 0xf8, 0xf9])],
  privileged: (at) =>
    at.random.pick([
      [0x0f, 0x06],
      [0x0f, 0x08],
      [0x0f, 0x09],
      [0x0f, 0xa2],
      [0x0f, 0x31],
      [0x0f, 0x33],
      [0x0f, 0x01, 0x38],
      [0xdb, 0xe3],
      [0x0f, 0xae, 0xf0],
      [0xf3, 0x90],
    ]),
  vector: (at) => [
    at.random.pick([0x66, 0xf3, 0xf2]),
    0x0f,
    at.random.pick([0x10, 0x11, 0x28, 0x29, 0x6f, 0x7f, 0xd4, 0x58]),
    ...absolute(at, at.random.below(8), address(at)),
  ],
  loop: (at) => [0xeb, 0x100 - at.random.between(2, 60)],
  spin: () => [0xeb, 0xfe],
  noise: (at) => at.random.several(at.random.between(1, 12), () => at.random.below(256)),
}

/** What a guest does most, several times. */
const KINDS = [
  ...Object.keys(grammar),
  ...[
    'out',
    'out',
    'out',
    'outShort',
    'in',
    'in',
    'string',
    'string',
    'store',
    'store',
    'load',
    'load',
    'noise',
    'loop',
  ],
]

const wideOperand = ({ mode, random }) => (mode === 'long' && random.oneIn(3) ? [0x48] : [])

function maybeLoad(at) {
  return at.random.oneIn(2) ? load(at, 0, at.random.integer()) : []
}

function modelRegister({ random }) {
  const known = [
    0x10, 0x1b, 0x174, 0x175, 0x176, 0x277, 0x1a0, 0x3a, 0x6e0, 0x80b, 0xc000_0080, 0xc000_0081,
  ]
  const ours = [
    0xc000_0082, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102, 0x4b56_4d00, 0x4b56_4d01,
  ]
  return random.oneIn(4) ? random.integer() : random.pick([...known, ...ours])
}

/** Some instructions, in hexadecimal. */
export function program(random, mode, places) {
  const at = { random, mode, places, width: mode === 'real' ? 2 : 4 }
  const bytes = random.several(random.between(1, 14), () => grammar[random.pick(KINDS)](at)).flat()
  const end = random.pick([
    [],
    [0xf4],
    [0xeb, 0xfe],
    [0xe9, ...le(2 ** 32 - bytes.length - at.width - 1, at.width)],
  ])
  return Buffer.from([...bytes, ...end]).toString('hex')
}
