import { randomBytes } from 'node:crypto'
import { Duplex } from 'node:stream'

import { fail, invalid } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkArray, checkObject, checkString } from '../check.ts'
import { checkShape, optional } from '../shape.ts'

/**
 * A network card whose frames a stream carries.
 *
 * @category Devices
 */
export interface FramesCard {
  /**
   * A `Duplex` in object mode, for this card alone. Each chunk is an Ethernet frame, a `Uint8Array`
   * of 14 to 1518 bytes without check sequence. What the guest sends is written to the stream; what
   * is read from it reaches the guest. Of a `Duplex` without an implementation of its own, as `new
   * Duplex({ objectMode: true })` makes it, the card is the implementation: what the guest sends is
   * read from it, what is written to it reaches the guest, and `a.pipe(b).pipe(a)` joins two
   * machines.
   *
   * When the stream ends, fails or is destroyed, the guest's link goes down.
   */
  frames: Duplex
  /** The card's address, as {@link PasstCard} has it. */
  mac?: string
  /** A card has a stream, or passt. */
  passt?: never
}

/**
 * A network card that passt, a program run beside, connects with the host's network.
 *
 * @category Devices
 */
export interface PasstCard {
  /**
   * The guest gets the address 10.0.2.15 by DHCP, and reaches what the host reaches; 10.0.2.2 is
   * the host itself, its loopback interface included. It needs passt's package, and no privilege.
   */
  passt: true
  /**
   * The card's address, six bytes as `'02:00:00:00:00:01'`. Default: a random one of the locally
   * administered.
   */
  mac?: string
  /** A card has a stream, or passt. */
  frames?: never
}

/**
 * A network card: virtio-net over MMIO.
 *
 * @category Devices
 */
export type NetworkCard = FramesCard | PasstCard

/** A card that was checked. */
export interface CheckedCard {
  /** Without one it is passt. */
  readonly frames: Duplex | undefined
  /** In lower case; by default a random one, or what a snapshot says. */
  readonly mac: string | undefined
}

const { maxCards } = native.limits()

/** An address as text, whether it is one station's or not. */
export const macPattern = /^[\dA-Fa-f]{2}(:[\dA-Fa-f]{2}){5}$/

const cardShape = {
  frames: optional(checkFrames),
  passt: optional((name, value) => (value === true ? value : invalid(name, 'true', value))),
  mac: optional(checkMac),
}

/** Checks the cards of a machine. */
export function checkNetwork(name: string, value: unknown): CheckedCard[] {
  const cards = checkArray(name, value, maxCards, checkCard)
  for (const [index, { frames, mac }] of cards.entries()) {
    const at = `${name}[${index}]`
    const others = cards.slice(0, index)
    if (frames && others.some((other) => other.frames === frames))
      fail('ERR_INVALID_OPTION', `${at}.frames is another card's, too; each needs its own`)
    if (mac !== undefined && others.some((other) => other.mac === mac))
      fail('ERR_INVALID_OPTION', `${at}.mac is another card's, too; each needs its own`)
  }
  return cards
}

/** An address that nobody else has: locally administered, of one station (IEEE 802). */
export function randomMac(): string {
  const bytes = randomBytes(6)
  bytes[0] = (bytes[0]! & 0xfc) | 2
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

function checkCard(value: unknown, name: string): CheckedCard {
  const { frames, passt, mac } = checkShape(name, checkObject(name, value), cardShape)
  if (!frames === !passt)
    return fail('ERR_INVALID_OPTION', `${name} must have either frames or passt`)
  return { frames, mac }
}

/** Streams that cards have, or had: each ends with its machine. */
const taken = new WeakSet<Duplex>()

/** A card has this stream now. */
export function takeFrames(frames: Duplex): void {
  taken.add(frames)
}

function checkFrames(name: string, value: unknown): Duplex {
  if (!(value instanceof Duplex)) return invalid(name, 'a Duplex in object mode', value)
  if (!value.readableObjectMode || !value.writableObjectMode)
    return fail('ERR_INVALID_OPTION', `${name} must be in object mode: a frame is a chunk`)
  if (value.destroyed || value.readableEnded || value.writableEnded)
    return fail('ERR_INVALID_OPTION', `${name} must be open, got a Duplex that has ended`)
  if (taken.has(value)) {
    const what = `${name} is a card's already; each card needs its own`
    return fail('ERR_INVALID_OPTION', what)
  }
  return value
}

function checkMac(name: string, value: unknown): string {
  const text = checkString(name, value).toLowerCase()
  if (!macPattern.test(text))
    return invalid(name, "six bytes in hexadecimal as '02:00:00:00:00:01'", value)
  const isGroup = (Number.parseInt(text.slice(0, 2), 16) & 1) !== 0
  if (isGroup || text === '00:00:00:00:00:00')
    return invalid(name, "one station's address, whose first byte is even", value)
  return text
}
