/** What the first byte of a written value says. The numbers stand in files. */
export const kinds = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  number: 4,
  bigint: 5,
  negativeBigint: 6,
  string: 7,
  known: 8,
  array: 9,
  hole: 10,
  object: 11,
  date: 12,
  regExp: 13,
  map: 14,
  set: 15,
  arrayBuffer: 16,
  view: 17,
  error: 18,
} as const

export type Kind = (typeof kinds)[keyof typeof kinds]

/** Bounds of one device's state, in memory and in a file. */
export const most = {
  /** Objects in objects; each takes a frame of the stack. */
  depth: 500,
  /** Parts of one object, characters of one string, bytes of one buffer. */
  count: 2 ** 28,
  /** Hexadecimal digits of a bigint. */
  digits: 2 ** 20,
  /** All of it. */
  bytes: 2 ** 28,
} as const

type ViewKind = new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView

/** The kinds of views; their places stand in files. */
export const viewKinds: readonly (ViewKind & { BYTES_PER_ELEMENT?: number })[] = [
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
]
