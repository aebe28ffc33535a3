/** What a caller may give for each type of a signature. */
interface GivenTypes {
  i32: number
  u32: number
  i64: bigint
  u64: bigint
  f32: number
  f64: number
  ptr: number
  usize: number
  cstr: string | Uint8Array | null
}

/** What comes back for each. */
interface ReturnedTypes extends Omit<GivenTypes, 'cstr'> {
  void: undefined
  cstr: string | null
}

/** What an import gives back for each. */
interface AnsweredTypes extends Omit<GivenTypes, 'cstr'> {
  void: unknown
  cstr: null
}

/**
 * Any value that a library takes or gives.
 *
 * @category Process
 */
export type NativeValue = number | bigint | string | Uint8Array | null

type Trim<S extends string> = S extends ` ${infer R}`
  ? Trim<R>
  : S extends `${infer R} `
    ? Trim<R>
    : S

type Words<S extends string> =
  Trim<S> extends '' | 'void'
    ? []
    : S extends `${infer First},${infer Rest}`
      ? [Trim<First>, ...Words<Rest>]
      : [Trim<S>]

type ValuesOf<T, Types> = {
  [K in keyof T]: T[K] extends keyof Types ? Types[T[K]] : NativeValue
}

// With types of C it is not known here.
// oxlint-disable-next-line typescript/no-explicit-any
type ResultOf<S, Types> = S extends keyof Types ? Types[S] : any

/**
 * The function that a signature describes: `'i32(ptr, usize)'` is
 * `(a: number, b: number) => number`. Signatures with types of C take and give any value.
 *
 * @category Process
 */
export type FunctionOf<S extends string> = S extends `${infer Result}(${infer Parameters})`
  ? (...args: ValuesOf<Words<Parameters>, GivenTypes>) => ResultOf<Trim<Result>, ReturnedTypes>
  : never

/**
 * The same function, as it is called through `lib.async`.
 *
 * @category Process
 */
export type AsyncOf<F> = F extends (...args: infer A) => infer R
  ? (...args: A) => Promise<R>
  : never

type Handler<S extends string> = S extends `${infer Result}(${infer Parameters})`
  ? (
      ...args: ValuesOf<Words<Parameters>, ReturnedTypes>
    ) => Answer<ResultOf<Trim<Result>, AnsweredTypes>>
  : AnyHandler

type Answer<T> = T | PromiseLike<T>

// oxlint-disable-next-line typescript/no-explicit-any
type AnyHandler = (...args: any[]) => unknown

/**
 * A function that a library may call, with its signature or without.
 *
 * @category Process
 */
export type ImportOf<S extends string> = AnyHandler | readonly [signature: S, call: Handler<S>]
