import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** URLs that were printed and not opened; a further one makes the oldest void. */
const maxTokens = 16
/** Of what is random. */
const randomLength = 32
/** Of a cookie, until a fresh URL is needed. */
const maxAgeMs = 7 * 24 * 60 * 60 * 1000

/** What lets a browser in: tokens that are good once, and the cookies that they are given for. */
export class Passes {
  readonly #key: Buffer
  readonly #tokens: Buffer[] = []

  /** With the key that cookies are signed by: those of a daemon before it are good, too. */
  constructor(key: Buffer) {
    this.#key = key
  }

  /** How many tokens nobody has used. */
  get count(): number {
    return this.#tokens.length
  }

  /** A token, for one browser. */
  token(): string {
    const token = randomBytes(randomLength).toString('base64url')
    this.#tokens.push(this.#digest(token))
    if (this.#tokens.length > maxTokens) this.#tokens.shift()
    return token
  }

  /** Takes a token for a cookie; undefined: it is none, or was used. */
  redeem(token: string): string | undefined {
    const given = this.#digest(token)
    const found = this.#tokens.map((each) => timingSafeEqual(each, given))
    const at = found.indexOf(true)
    if (at < 0) return undefined
    this.#tokens.splice(at, 1)
    const said = `${Date.now().toString(36)}-${randomBytes(randomLength).toString('hex')}`
    return `${said}-${this.#digest(said).toString('hex')}`
  }

  /** Whether a cookie is one of those, and not too old. */
  isGood(cookie: string): boolean {
    const parts = /^(?<said>(?<at>[0-9a-z]{1,11})-[0-9a-f]{64})-(?<sign>[0-9a-f]{64})$/.exec(cookie)
    const { said = '', at = '', sign = '' } = parts?.groups ?? {}
    const given = Buffer.from(sign.padStart(64, '0'), 'hex')
    const isSigned = timingSafeEqual(this.#digest(said), given)
    return isSigned && Date.now() - Number.parseInt(at, 36) < maxAgeMs
  }

  #digest(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest()
  }
}
