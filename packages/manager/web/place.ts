/** Where a message is about. */
export interface Place {
  /** The keys that it names, from the outside in. */
  readonly keys: readonly string[]
  /** The characters of the text, and their line, from 1 on; undefined: it is not in the text. */
  readonly range?: readonly [number, number]
  readonly line?: number
}

/** The keys of a message: the daemon's paths are `definition.a.b[0]`. */
function keysOf(message: string): (string | number)[] {
  const path = /^[A-Za-z]\w*(?:\.[\w-]+|\[\d+\])*/.exec(message)?.[0] ?? ''
  const parts = [...path.matchAll(/([\w-]+)|\[(\d+)\]/g)].map(([, key, index]) =>
    index === undefined ? (key as string) : Number(index),
  )
  const named = /has no key "?([\w-]+)/.exec(message)?.[1]
  if (parts[0] === 'definition') parts.shift()
  return named === undefined ? parts : [...parts, named]
}

const lineAt = (json: string, at: number): number => json.slice(0, at).split('\n').length

/** Where the key that a message names is in a text of JSON, or where that is none. */
export function placeOf(message: string, json: string): Place | undefined {
  const broken = /at position (\d+)/.exec(message)?.[1]
  if (broken !== undefined) {
    const at = Math.min(Number(broken), json.length)
    return { keys: [], range: [at, Math.min(at + 1, json.length)], line: lineAt(json, at) }
  }
  const parts = keysOf(message)
  const keys = parts.filter((part) => typeof part === 'string')
  if (keys.length === 0) return undefined
  let range: readonly [number, number] | undefined
  let [from, skip] = [0, 0]
  for (const part of parts) {
    // The next key of item n of an array is the one that comes after n others of its name.
    if (typeof part === 'number') skip = part
    else {
      let at = json.indexOf(`"${part}"`, from)
      for (; skip > 0 && at >= 0; skip--) at = json.indexOf(`"${part}"`, at + 1)
      if (at < 0) break
      from = at + part.length + 2
      range = [at, from]
    }
  }
  return range ? { keys, range, line: lineAt(json, range[0]) } : { keys }
}
