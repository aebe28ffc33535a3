// What a value is in JavaScript, and in the eight bytes of a register or stack slot (System V ABI,
// AMD64 supplement, §3.2.3).

/** A type of a signature. */
export interface Kind {
  readonly name: string
  /** Which registers it travels in; `void` in none. */
  readonly place: 'none' | 'word' | 'float'
  /** What `typeof` says of its values; strings have `text` and are stored as pointers. */
  readonly type: 'undefined' | 'number' | 'bigint' | 'text'
  /** For messages, after "must be". */
  readonly wants: string
  /** Whether a value of the right type is in range. */
  fits(value: never): boolean
  store(view: DataView, at: number, value: never): void
  load(view: DataView, at: number): unknown
}

const two32 = 2 ** 32

function storeHalves(view: DataView, at: number, low: number, high: number): void {
  view.setUint32(at, low, true)
  view.setUint32(at + 4, high, true)
}

/** A whole number of at most 32 bits; a result that is narrower leaves the rest undefined. */
function small(name: string, bits: 1 | 8 | 16 | 32, isSigned: boolean): Kind {
  const least = isSigned ? -(2 ** (bits - 1)) : 0
  const most = isSigned ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
  const load = {
    1: (view: DataView, at: number) => (view.getUint8(at) === 0 ? 0 : 1),
    8: (view: DataView, at: number) => (isSigned ? view.getInt8(at) : view.getUint8(at)),
    16: (view: DataView, at: number) =>
      isSigned ? view.getInt16(at, true) : view.getUint16(at, true),
    32: (view: DataView, at: number) =>
      isSigned ? view.getInt32(at, true) : view.getUint32(at, true),
  }
  return {
    name,
    place: 'word',
    type: 'number',
    wants: `a whole number from ${least} to ${most}`,
    fits: (value: number) => Number.isInteger(value) && value >= least && value <= most,
    // What is called may take it for a wider one.
    store: (view, at, value: number) => storeHalves(view, at, value, value < 0 ? -1 : 0),
    load: load[bits],
  }
}

const i64: Kind = {
  name: 'i64',
  place: 'word',
  type: 'bigint',
  wants: 'a bigint from -2^63 to 2^63 - 1',
  fits: (value: bigint) => BigInt.asIntN(64, value) === value,
  store: (view, at, value: bigint) => view.setBigInt64(at, value, true),
  load: (view, at) => view.getBigInt64(at, true),
}

const u64: Kind = {
  name: 'u64',
  place: 'word',
  type: 'bigint',
  wants: 'a bigint from 0 to 2^64 - 1',
  fits: (value: bigint) => BigInt.asUintN(64, value) === value,
  store: (view, at, value: bigint) => view.setBigUint64(at, value, true),
  load: (view, at) => view.getBigUint64(at, true),
}

/** An address or a size, as a number; `load` may give one that is no safe integer. */
const whole = (name: string): Kind => ({
  name,
  place: 'word',
  type: 'number',
  wants: 'a whole number from 0 to 2^53 - 1',
  fits: (value: number) => Number.isSafeInteger(value) && value >= 0,
  store: (view, at, value: number) => storeHalves(view, at, value, Math.floor(value / two32)),
  load: (view, at) => view.getUint32(at + 4, true) * two32 + view.getUint32(at, true),
})

const f32: Kind = {
  name: 'f32',
  place: 'float',
  type: 'number',
  wants: 'a number',
  fits: () => true,
  store(view, at, value: number) {
    view.setFloat32(at, value, true)
    view.setUint32(at + 4, 0, true)
  },
  load: (view, at) => view.getFloat32(at, true),
}

const f64: Kind = {
  name: 'f64',
  place: 'float',
  type: 'number',
  wants: 'a number',
  fits: () => true,
  store: (view, at, value: number) => view.setFloat64(at, value, true),
  load: (view, at) => view.getFloat64(at, true),
}

const nothing: Kind = {
  name: 'void',
  place: 'none',
  type: 'undefined',
  wants: 'undefined',
  fits: () => true,
  store: () => undefined,
  load: () => undefined,
}

/** Types of signatures; those from `i8` on have only names in C. */
export const KINDS = {
  void: nothing,
  i32: small('i32', 32, true),
  u32: small('u32', 32, false),
  i64,
  u64,
  f32,
  f64,
  ptr: whole('ptr'),
  usize: whole('usize'),
  /** Its eight bytes are a pointer. */
  cstr: {
    ...whole('cstr'),
    type: 'text',
    wants: 'a string, a Uint8Array or null',
  },
  i8: small('i8', 8, true),
  u8: small('u8', 8, false),
  i16: small('i16', 16, true),
  u16: small('u16', 16, false),
  bool: small('bool', 1, false),
} as const satisfies Record<string, Kind>

/** Names of types that signatures may use, beside those of C. */
export const NAMES = [
  'void',
  'i32',
  'u32',
  'i64',
  'u64',
  'f32',
  'f64',
  'ptr',
  'usize',
  'cstr',
] as const
