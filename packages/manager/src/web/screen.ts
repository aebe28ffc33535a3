import type { IncomingMessage } from 'node:http'

import { HttpError, type Reply } from '../http/answer.ts'
import type { Guard } from '../http/guard.ts'
import { Assets } from './assets.ts'
import { Passes } from './pass.ts'

/** What a browser may do with what it is given: load and ask from here, and from nowhere else. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  // What xterm.js writes as elements and attributes of style, the page makes constructed sheets of.
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** Said with every answer. */
const headers = {
  'content-security-policy': policy,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const loopback = /^(?:localhost|127\.0\.0\.1):(?<port>\d{1,5})$/i

/** The page for browsers, and who may see it. */
export class WebScreen {
  readonly #passes: Passes
  readonly #assets = new Assets()
  readonly headers: Readonly<Record<string, string>> = headers

  /** With the key that its cookies are signed by. */
  constructor(key: Buffer) {
    this.#passes = new Passes(key)
  }

  /** A URL below an address of the screen that lets one browser in, once. */
  url(address: string): string {
    return `${address}/?token=${this.#passes.token()}`
  }

  /** Answers what is asked for by path, lets what has a cookie go on to the API. */
  readonly guard: Guard = (request) => {
    const { url = '', method = '', headers: given } = request
    checkOrigin(request)
    const [path = '', query = ''] = url.split('?', 2)
    const isRead = (method === 'GET' || method === 'HEAD') && given.upgrade === undefined
    const token = path === '/' ? new URLSearchParams(query).get('token') : null
    if (token !== null && method === 'GET' && isRead) return this.#enter(request, token)
    if (!cookiesOf(request).some((cookie) => this.#passes.isGood(cookie)))
      throw forbidden('this browser has not been let in; `vmexit web` prints a URL that does')
    if (path.startsWith('/v1/')) return undefined
    if (!isRead) throw new HttpError(405, 'ERR_NOT_SUPPORTED', 'this path takes GET, HEAD', allow)
    return this.#assets.reply(path, given['if-none-match'])
  }

  #enter({ socket }: IncomingMessage, token: string): Reply {
    const cookie = this.#passes.redeem(token)
    if (cookie === undefined)
      throw forbidden('this URL was used already, or is none; `vmexit web` prints another one')
    const said = `${cookieName(socket.localPort)}=${cookie}; HttpOnly; SameSite=Strict; Path=/`
    const own = { location: '/', 'set-cookie': said, 'cache-control': 'no-store' }
    return { status: 303, headers: { ...own, 'content-length': 0 }, body: new Uint8Array() }
  }
}

const allow = { allow: 'GET, HEAD' }

/** Cookies know no ports: another one of this host has a name of its own. */
const cookieName = (port: number | undefined): string => `vmexit-${port}`

function checkOrigin({ headers: given, socket }: IncomingMessage): void {
  const { host = '', origin, 'sec-fetch-site': site = 'none' } = given
  if (loopback.exec(host)?.groups?.['port'] !== String(socket.localPort))
    throw forbidden('the Host header must name the loopback, with the port')
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    throw forbidden('pages of other origins may not ask')
  if (site !== 'same-origin' && site !== 'none') throw forbidden('pages of other sites may not ask')
}

function cookiesOf({ headers: given, socket }: IncomingMessage): string[] {
  const name = cookieName(socket.localPort)
  return (given.cookie ?? '').split(';').flatMap((each) => {
    const [key = '', value = ''] = each.trim().split('=', 2)
    return key === name ? [value] : []
  })
}

const forbidden = (message: string): HttpError => new HttpError(403, 'ERR_FORBIDDEN', message)
