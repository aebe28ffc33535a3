import type { IncomingMessage } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import { HttpError } from './answer.ts'
import { maxUrlLength } from './limits.ts'
import { allOperations } from './openapi.ts'
import type { Operation } from './operation.ts'
import { problem } from './schema.ts'
import { nameSchema } from './schemas.ts'

/** Where a request leads. */
export interface Route {
  readonly operation: Operation
  readonly name: string
  readonly snapshot: string
  readonly query: Readonly<Record<string, number>>
}

interface Match {
  readonly operation: Operation
  readonly words: Readonly<Record<string, string>>
}

const table = allOperations.map((operation) => ({
  operation,
  segments: operation.path.split('/'),
}))

/** The operation that a request asks for, with what its path says. */
export function routeOf({ url = '', method = '' }: IncomingMessage): Route {
  if (url.length > maxUrlLength)
    throw new HttpError(414, 'ERR_LIMIT', `a path has at most ${maxUrlLength} characters`)
  const at = url.indexOf('?')
  const path = at < 0 ? url : url.slice(0, at)
  const matches = matchesOf(path.split('/'))
  if (matches.length === 0)
    throw new ManagerError('ERR_NOT_FOUND', 'there is no such path; see /v1/openapi.json')
  const found = matches.find(({ operation }) => takes(operation, method))
  if (!found) {
    const allow = allowed(matches)
    throw new HttpError(405, 'ERR_NOT_SUPPORTED', `this path takes ${allow}`, { allow })
  }
  const { operation, words } = found
  for (const [key, word] of Object.entries(words)) check(problem(nameSchema, word, key))
  const { name = '', snapshot = '' } = words
  return { operation, name, snapshot, query: queryOf(operation, at < 0 ? '' : url.slice(at + 1)) }
}

function matchesOf(path: readonly string[]): Match[] {
  return table.flatMap(({ operation, segments }) => {
    if (segments.length !== path.length) return []
    const words: Record<string, string> = {}
    const fits = segments.every((segment, at) => {
      if (!segment.startsWith('{')) return segment === path[at]
      words[segment.slice(1, -1)] = path[at]!
      return path[at] !== ''
    })
    return fits ? [{ operation, words: decoded(words) }] : []
  })
}

function decoded(words: Record<string, string>): Record<string, string> {
  try {
    return Object.fromEntries(
      Object.entries(words).map(([key, word]) => [key, decodeURIComponent(word)]),
    )
  } catch (cause) {
    throw new ManagerError('ERR_INVALID_OPTION', 'the path has a wrong %', { cause })
  }
}

/** HEAD is GET without a body; a stream has nothing but that. */
function takes({ kind, method }: Operation, asked: string): boolean {
  return method === asked || (asked === 'HEAD' && method === 'GET' && kind === 'plain')
}

function allowed(matches: readonly Match[]): string {
  const known = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']
  return known.filter((it) => matches.some(({ operation }) => takes(operation, it))).join(', ')
}

function queryOf({ query = {}, requiredQuery = [] }: Operation, text: string) {
  const read: Record<string, number> = {}
  for (const [key, value] of new URLSearchParams(text)) {
    const known = Object.keys(query).join(', ') || 'none'
    if (!Object.hasOwn(query, key))
      throw wrong(`there is no parameter ${JSON.stringify(key)} here, but ${known}`)
    if (Object.hasOwn(read, key)) throw wrong(`the parameter ${key} is given twice`)
    read[key] = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
    if (Number.isNaN(read[key])) throw wrong(`${key} must be a number in decimal digits`)
    check(problem(query[key]!, read[key], key))
  }
  const lacking = requiredQuery.find((key) => !Object.hasOwn(read, key))
  if (lacking !== undefined) throw wrong(`the parameter ${lacking} is missing`)
  return read
}

function check(found: string | undefined): void {
  if (found !== undefined) throw wrong(found)
}

const wrong = (message: string): ManagerError => new ManagerError('ERR_INVALID_OPTION', message)
