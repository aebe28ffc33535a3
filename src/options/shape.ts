import { checkKeys, checkObject } from './check.ts'

/** Checks one value, and gives what counts. */
export type Check<T> = (name: string, value: unknown) => T

/** One key of an object: how its value is checked, and what stands for it where it is absent. */
export interface Key<T, IsOptional extends boolean> {
  readonly check: Check<T>
  readonly isOptional: IsOptional
  /** What counts then, by what else is given. */
  readonly otherwise?: (given: Record<string, unknown>) => unknown
}

/** The keys of an object, in the order in which messages name them. */
export type Shape = Readonly<Record<string, Key<unknown, boolean>>>

type OptionalKeys<S extends Shape> = {
  [K in keyof S]: S[K] extends Key<unknown, true> ? K : never
}[keyof S]

type ValueOf<K> = K extends Key<infer T, boolean> ? T : never

/** What is left of an object when it is checked. */
export type Checked<S extends Shape> = {
  [K in Exclude<keyof S, OptionalKeys<S>>]: ValueOf<S[K]>
} & { [K in OptionalKeys<S>]?: ValueOf<S[K]> }

/** A key that must be there. */
export function required<T>(check: Check<T>): Key<T, false> {
  return { check, isOptional: false }
}

/** A key that may be absent, and then is. */
export function optional<T>(check: Check<T>): Key<T, true> {
  return { check, isOptional: true }
}

/** A key with a default. */
export function otherwise<T>(value: T, check: Check<T>): Key<T, false> {
  return { check, isOptional: false, otherwise: () => value }
}

/** A flag that is set by default where another one is. */
export function likewise(other: string, check: Check<boolean>): Key<boolean, false> {
  return { check, isOptional: false, otherwise: (given) => given[other] === true }
}

/** Checks an object: each key is read once, and what is checked is what counts. */
export function checkShape<S extends Shape>(
  name: string,
  value: unknown,
  shape: S,
  path = `${name}.`,
): Checked<S> {
  const given = checkObject(name, value)
  checkKeys(name, given, Object.keys(shape))
  return checkMembers(given, shape, path)
}

/** Checks those keys of an object that a shape has. */
export function checkMembers<S extends Shape>(
  given: Record<string, unknown>,
  shape: S,
  path: string,
): Checked<S> {
  const keys = Object.entries(shape)
  const read = Object.fromEntries(keys.map(([key]) => [key, given[key]]))
  const checked: Record<string, unknown> = {}
  for (const [key, { check, isOptional, otherwise: byDefault }] of keys) {
    const value = read[key] === undefined ? byDefault?.(read) : read[key]
    if (value !== undefined || !isOptional) checked[key] = check(path + key, value)
  }
  return checked as Checked<S>
}
