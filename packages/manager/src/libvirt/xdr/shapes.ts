import { xdr, type XdrType } from './library.ts'

/** What a shape is on the wire, for comparison with the protocol's own description. */
export type Layout =
  | { readonly kind: 'void' | 'int' | 'uint' | 'hyper' | 'uhyper' | 'double' }
  | { readonly kind: 'string'; readonly max: number }
  | { readonly kind: 'opaque'; readonly length?: number; readonly max?: number }
  | {
      readonly kind: 'array'
      readonly of: Layout
      readonly length?: number
      readonly max?: number
    }
  | { readonly kind: 'optional'; readonly of: Layout }
  | { readonly kind: 'struct'; readonly fields: readonly (readonly [string, Layout])[] }
  | { readonly kind: 'union'; readonly arms: readonly (readonly [number, Layout])[] }

/** How a value of a type is read and written. */
export interface Shape<T> extends XdrType<T> {
  /** What it is on the wire. */
  readonly layout: Layout
}

/** The value of a shape. */
export type ValueOf<S> = S extends Shape<infer T> ? T : never

/** The longest string: the protocol's own bound. */
const STRING_BYTES = 4 * 1024 * 1024

const of = <T>(type: XdrType<T>, layout: Layout): Shape<T> => ({
  layout,
  read: (reader) => type.read(reader),
  write: (value, writer) => type.write(value, writer),
})

/** Other values than those of a shape, in the same bytes. */
export function mapped<T, U>(
  shape: Shape<T>,
  to: (value: T) => U,
  from: (value: U) => T,
): Shape<U> {
  return {
    layout: shape.layout,
    read: (reader) => to(shape.read(reader)),
    write: (value, writer) => shape.write(from(value), writer),
  }
}

/** No bytes. */
export const nothing: Shape<void> = { layout: { kind: 'void' }, read: () => {}, write: () => {} }
/** 32 bits with a sign. */
export const int = of(xdr.Int, { kind: 'int' })
/** 32 bits. */
export const uint = of(xdr.UnsignedInt, { kind: 'uint' })
/** Floating point. */
export const double = of(xdr.Double, { kind: 'double' })
/** 64 bits with a sign. */
export const hyper: Shape<bigint> = {
  layout: { kind: 'hyper' },
  read: (reader) => xdr.Hyper.read(reader).toBigInt(),
  write: (value, writer) => xdr.Hyper.write(value, writer),
}
/** 64 bits. */
export const uhyper: Shape<bigint> = {
  layout: { kind: 'uhyper' },
  read: (reader) => xdr.UnsignedHyper.read(reader).toBigInt(),
  write: (value, writer) => xdr.UnsignedHyper.write(value, writer),
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text of at most `max` bytes in UTF-8, without a zero byte: it is a string of C over there. */
export function string(max = STRING_BYTES): Shape<string> {
  const type = new xdr.String(max)
  return {
    layout: { kind: 'string', max },
    read(reader) {
      const text = UTF8.decode(type.read(reader) as Uint8Array)
      return text.includes('\0') ? refuse('a string with a zero byte') : text
    },
    write: (value, writer) => type.write(value, writer),
  }
}

/** A string of the protocol's own bound. */
export const text = string()

/** `length` bytes. */
export function bytes(length: number): Shape<Uint8Array> {
  return of(new xdr.Opaque(length), { kind: 'opaque', length })
}

/** At most `max` bytes. */
export function bytesUpTo(max: number): Shape<Uint8Array> {
  return of(new xdr.VarOpaque(max), { kind: 'opaque', max })
}

/** `length` values. */
export function arrayOf<T>(shape: Shape<T>, length: number): Shape<T[]> {
  return of(new xdr.Array(shape, length), { kind: 'array', of: shape.layout, length })
}

/** At most `max` values. */
export function list<T>(shape: Shape<T>, max: number): Shape<T[]> {
  return of(new xdr.VarArray(shape, max), { kind: 'array', of: shape.layout, max })
}

/** A value or none. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return of(new xdr.Option(shape), { kind: 'optional', of: shape.layout })
}

type Fields = Readonly<Record<string, Shape<never>>>

/** One after the other, in the order in which they stand. */
export function struct<F extends Record<keyof F, unknown>>(fields: {
  readonly [K in keyof F]: Shape<F[K]>
}): Shape<{ [K in keyof F]: F[K] }> {
  const all = Object.entries(fields as Fields) as [string, Shape<unknown>][]
  return {
    layout: { kind: 'struct', fields: all.map(([name, { layout }]) => [name, layout] as const) },
    read(reader) {
      return Object.fromEntries(all.map(([name, shape]) => [name, shape.read(reader)])) as F
    },
    write(value, writer) {
      for (const [name, shape] of all) shape.write(value[name as keyof F], writer)
    },
  }
}

/** A value of one of several types, told apart by a number before it. */
export interface Tagged<T> {
  /** Which type. */
  readonly type: number
  /** The value. */
  readonly value: T
}

/** One of several, by a number. */
export function union<T>(arms: ReadonlyMap<number, Shape<T>>): Shape<Tagged<T>> {
  const arm = (type: number): Shape<T> => arms.get(type) ?? refuse(`a union's arm ${type}`)
  return {
    layout: { kind: 'union', arms: [...arms].map(([type, { layout }]) => [type, layout] as const) },
    read(reader) {
      const type = int.read(reader)
      return { type, value: arm(type).read(reader) }
    },
    write({ type, value }, writer) {
      int.write(type, writer)
      arm(type).write(value, writer)
    },
  }
}

/** What the bytes are; throws for bytes that are not, or are more, than the shape's. */
export function decode<T>(shape: Shape<T>, from: Buffer): T {
  const reader = new xdr.XdrReader(from)
  const value = shape.read(reader)
  reader.ensureInputConsumed()
  return value
}

/** The bytes of a value; throws for one that the shape does not hold. */
export function encode<T>(shape: Shape<T>, value: T): Buffer {
  const writer = new xdr.XdrWriter()
  shape.write(value, writer)
  return writer.finalize()
}

function refuse(what: string): never {
  throw new RangeError(`${what} is not of the protocol`)
}
