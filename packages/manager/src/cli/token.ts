import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'

import { tell } from './output.ts'
import { UsageError } from './verb.ts'

const leastLetters = 16
const mostLetters = 512

/** The token in a file that nobody else may read; a file that is not there is made. */
export function tokenIn(file: string): string {
  try {
    return existing(file) ?? made(file)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`--token-file: ${(error as Error).message}`)
  }
}

function existing(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) return undefined
  if (!found.isFile()) throw new UsageError(`--token-file: ${file} is no regular file`)
  if ((found.mode & 0o077) !== 0)
    throw new UsageError(`--token-file: others may read ${file}: chmod 0600 '${file}'`)
  const token = readFileSync(file, 'latin1').trim()
  // A header of HTTP carries it (RFC 6750, section 2.1).
  if (/^[\w.~+/=-]+$/.test(token) && token.length >= leastLetters && token.length <= mostLetters)
    return token
  throw new UsageError(
    `--token-file: a token has ${leastLetters} to ${mostLetters} letters, digits and ._~+/=-`,
  )
}

function made(file: string): string {
  const token = randomBytes(32).toString('base64url')
  writeFileSync(file, `${token}\n`, { flag: 'wx', mode: 0o600 })
  tell(`${file} is made, with a new token`)
  return token
}
