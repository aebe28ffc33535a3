import { sumOf } from './bytes.ts'

/** The largest packet, in either direction; `qSupported` tells the client. */
export const maxPacketBytes = 0x8000

const [DOLLAR, HASH, PLUS, MINUS, INTERRUPT] = [0x24, 0x23, 0x2b, 0x2d, 0x03]

/** What a client says. */
export type Unit =
  | { readonly kind: 'packet'; readonly body: Buffer }
  /** A packet whose sum is wrong. */
  | { readonly kind: 'broken' }
  /** Ctrl-C. */
  | { readonly kind: 'interrupt' }
  /** A packet of ours has arrived. */
  | { readonly kind: 'ack' }
  /** A packet of ours has arrived broken. */
  | { readonly kind: 'nak' }
  /** Bytes that are none of the protocol's; nothing after them is read. */
  | { readonly kind: 'foreign' }

/** Takes a stream of bytes apart into packets, however it is cut. */
export class Framing {
  readonly #body = Buffer.alloc(maxPacketBytes)
  #length = 0
  /** Where in a packet it is. */
  #place: 'between' | 'body' | 'first digit' | 'second digit' = 'between'
  #sum = ''

  /** What these bytes complete. A packet that is too long is foreign, too. */
  take(bytes: Uint8Array): Unit[] {
    const units: Unit[] = []
    for (const byte of bytes) {
      const unit = this.#place === 'between' ? this.#between(byte) : this.#within(byte)
      if (unit) units.push(unit)
      if (unit?.kind === 'foreign') break
    }
    return units
  }

  #between(byte: number): Unit | undefined {
    switch (byte) {
      case DOLLAR:
        this.#begin()
        return undefined
      case PLUS:
        return { kind: 'ack' }
      case MINUS:
        return { kind: 'nak' }
      case INTERRUPT:
        return { kind: 'interrupt' }
      default:
        return { kind: 'foreign' }
    }
  }

  #begin(): void {
    this.#place = 'body'
    this.#length = 0
    this.#sum = ''
  }

  #within(byte: number): Unit | undefined {
    if (this.#place === 'body') return this.#inBody(byte)
    this.#sum += String.fromCodePoint(byte)
    if (this.#place === 'first digit') {
      this.#place = 'second digit'
      return undefined
    }
    this.#place = 'between'
    const body = Buffer.from(this.#body.subarray(0, this.#length))
    const isWhole =
      /^[0-9a-f]{2}$/i.test(this.#sum) && Number.parseInt(this.#sum, 16) === sumOf(body)
    return isWhole ? { kind: 'packet', body } : { kind: 'broken' }
  }

  #inBody(byte: number): Unit | undefined {
    if (byte === HASH) this.#place = 'first digit'
    // A packet that was cut off, and the next one.
    else if (byte === DOLLAR) this.#begin()
    else if (this.#length === maxPacketBytes) return { kind: 'foreign' }
    else this.#body[this.#length++] = byte
    return undefined
  }
}

/** A packet as it goes over the wire. */
export function packetOf(body: string | Uint8Array): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  const sum = sumOf(bytes).toString(16).padStart(2, '0')
  return Buffer.concat([Buffer.from('$'), bytes, Buffer.from(`#${sum}`)])
}
