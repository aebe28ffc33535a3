/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** An object of JSON. */
export type JsonObject = { [key: string]: Json }

/** Whether a value is an object of JSON. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether two values say the same; the order of keys says nothing. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => isSame(value, b[index]))
  }
  if (!isObject(a) || !isObject(b)) return a === b
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
  )
}

/**
 * The JSON merge patch (RFC 7386) that makes `to` of `from`, undefined when nothing is to be done.
 * `null` removes a key, so no value may be null.
 */
export function difference(from: JsonObject, to: JsonObject): JsonObject | undefined {
  const patch: [string, Json][] = []
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [before, after] = [own(from, key), own(to, key)]
    if (after === undefined) {
      patch.push([key, null])
    } else if (isObject(before) && isObject(after)) {
      const inner = difference(before, after)
      if (inner !== undefined) patch.push([key, inner])
    } else if (!isSame(before, after)) {
      patch.push([key, after])
    }
  }
  return patch.length > 0 ? Object.fromEntries(patch) : undefined
}

/** Applies a JSON merge patch. */
export function patched(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const made = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) made.delete(key)
    else made.set(key, patched(made.get(key), value))
  }
  return Object.fromEntries(made)
}

function own(of: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(of, key) ? of[key] : undefined
}
