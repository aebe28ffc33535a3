import { ManagerError } from '../supervisor/errors.ts'

/** Deeper than a definition, and than the kept XML beside it, is. */
const maxDepth = 64

/**
 * A value as JSON with sorted keys, indented, with a newline at the end: equal values give equal
 * texts. Keys without a value are left out. `ERR_INVALID_OPTION` for what JSON does not hold.
 */
export function canonicalJson(value: unknown): string {
  return `${written(value, 0)}\n`
}

function written(value: unknown, depth: number): string {
  if (depth > maxDepth) throw new ManagerError('ERR_INVALID_OPTION', 'JSON is nested too deeply')
  if (value === null || typeof value === 'boolean' || typeof value === 'string')
    return JSON.stringify(value)
  if (Number.isFinite(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return list('[', ']', items(value, depth), depth)
  if (typeof value === 'object') return list('{', '}', members(value, depth), depth)
  throw new ManagerError('ERR_INVALID_OPTION', `JSON does not hold ${String(value)}`)
}

function items(value: readonly unknown[], depth: number): string[] {
  return Array.from(value, (item) => written(item ?? null, depth + 1))
}

function members(value: object, depth: number): string[] {
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}: ${written(member, depth + 1)}`)
}

function list(open: string, close: string, parts: readonly string[], depth: number): string {
  if (parts.length === 0) return `${open}${close}`
  const indent = '  '.repeat(depth + 1)
  return `${open}\n${indent}${parts.join(`,\n${indent}`)}\n${'  '.repeat(depth)}${close}`
}
