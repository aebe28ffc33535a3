import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import { HttpError, type Reply } from './answer.ts'

/** Who may ask; throws if the one who asks may not. What it returns is the answer. */
export type Guard = (request: IncomingMessage) => Reply | undefined

/** What stands before the API where browsers ask. */
export interface Face {
  /** Answers what is not of the API. */
  readonly guard: Guard
  /** Said with every answer. */
  readonly headers: Readonly<Record<string, string>>
}

/** Shorter ones can be tried out. */
const minTokenLength = 16
/** A header has to hold it. */
const maxTokenLength = 1024

const loopback = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i

/** On a Unix socket its directory and mode say who may ask; a page of a browser may not. */
export const localGuard: Guard = ({ headers }) => {
  if (headers.origin !== undefined) throw forbidden('pages of other origins may not ask')
  return undefined
}

/** On TCP the token says who may ask. A page that a name leads here is found out by its Host. */
export function tokenGuard(token: string): Guard {
  if (
    !/^[\x21-\x7e]+$/.test(token) ||
    token.length < minTokenLength ||
    token.length > maxTokenLength
  ) {
    const message = `the token must have ${minTokenLength} to ${maxTokenLength} printable characters`
    throw new ManagerError('ERR_INVALID_OPTION', `${message} of ASCII, and no spaces`)
  }
  const wanted = digest(token)
  return ({ headers }) => {
    const { host = '', origin, authorization = '' } = headers
    if (!loopback.test(host)) throw forbidden('the Host header must name the loopback')
    if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
      throw forbidden('pages of other origins may not ask')
    const given = /^Bearer +(?<token>\S+) *$/i.exec(authorization)?.groups?.['token'] ?? ''
    if (!timingSafeEqual(digest(given), wanted))
      throw new HttpError(401, 'ERR_FORBIDDEN', 'Authorization must be Bearer and the token', {
        'www-authenticate': 'Bearer realm="vmexit"',
      })
    return undefined
  }
}

/** Of one length, so that the time of a comparison says nothing. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const forbidden = (message: string): ManagerError => new ManagerError('ERR_FORBIDDEN', message)
