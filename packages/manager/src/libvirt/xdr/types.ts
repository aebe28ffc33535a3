// Types that many procedures share. Names of fields and bounds are the protocol's; shorter where
// nothing of ours is as long.
import {
  arrayOf,
  bytes,
  double,
  hyper,
  int,
  mapped,
  optional,
  string,
  struct,
  text,
  uhyper,
  uint,
  union,
  type Shape,
  type Tagged,
  type ValueOf,
} from './shapes.ts'

/** The longest name of anything. */
const NAME_BYTES = 1024

const nameText = string(NAME_BYTES)

/** A UUID in lower case with hyphens. */
export const uuid: Shape<string> = mapped(
  bytes(16),
  (value) =>
    Buffer.from(value)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
  (value) => Buffer.from(value.replaceAll('-', ''), 'hex'),
)

/** Text of at most `length - 1` characters, each of which takes four bytes. */
export const chars = (length: number): Shape<string> =>
  mapped(
    arrayOf(int, length),
    (codes) => String.fromCharCode(...codes).replace(/\0.*/s, ''),
    (value) => Array.from({ length }, (_, at) => (at < length - 1 ? value.charCodeAt(at) || 0 : 0)),
  )

/** A thing that has a name and a UUID. */
export const reference = struct({ name: nameText, uuid })

/** A machine: `id` is -1 unless it runs. */
export const domain = struct({ name: nameText, uuid, id: int })
/** A machine as a client names it, and as it is named to it. */
export type Domain = ValueOf<typeof domain>

/** A machine's snapshot. */
export const snapshot = struct({ name: nameText, dom: domain })
/** A snapshot as a client names it. */
export type Snapshot = ValueOf<typeof snapshot>

const either = <T>(shape: Shape<T>) => shape as unknown as Shape<number | bigint | string>

/** A value with a name and a type: one of `PARAM`. */
export const typedParam: Shape<{
  field: string
  value: Tagged<number | bigint | string>
}> = struct({
  field: nameText,
  value: union(
    new Map([
      [1, either(int)],
      [2, either(uint)],
      [3, either(hyper)],
      [4, either(uhyper)],
      [5, either(double)],
      [6, either(int)],
      [7, either(text)],
    ]),
  ),
})
/** A value with a name and a type. */
export type TypedParam = ValueOf<typeof typedParam>

/** Makes typed parameters. */
export const param = {
  int: (field: string, value: number): TypedParam => ({ field, value: { type: 1, value } }),
  uint: (field: string, value: number): TypedParam => ({ field, value: { type: 2, value } }),
  hyper: (field: string, value: bigint): TypedParam => ({ field, value: { type: 3, value } }),
  uhyper: (field: string, value: bigint): TypedParam => ({ field, value: { type: 4, value } }),
  double: (field: string, value: number): TypedParam => ({ field, value: { type: 5, value } }),
  boolean: (field: string, value: boolean): TypedParam => ({
    field,
    value: { type: 6, value: value ? 1 : 0 },
  }),
  string: (field: string, value: string): TypedParam => ({ field, value: { type: 7, value } }),
} as const

/** What went wrong, as the protocol says it. */
export const failure = struct({
  code: int,
  domain: int,
  message: optional(text),
  level: int,
  dom: optional(domain),
  str1: optional(text),
  str2: optional(text),
  str3: optional(text),
  int1: int,
  int2: int,
  net: optional(reference),
})
