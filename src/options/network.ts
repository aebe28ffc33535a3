import { randomBytes } from 'node:crypto'
import { Duplex } from 'node:stream'

import { fail, invalid, show } from '../native/errors.ts'
import { checkArray, checkObject, checkString } from './check.ts'
import { checkShape, optional } from './shape.ts'

/** A network card whose frames a stream carries. */
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

/** A network card that passt, a program run beside, connects with the host's network. */
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

/** A network card: virtio-net over MMIO. */
export type NetworkCard = FramesCard | PasstCard

/** A card that was checked. */
export interface CheckedCard {
  /** Without one it is passt. */
  readonly frames: Duplex | undefined
  /** Six bytes; none where a snapshot says it. */
  readonly mac: Uint8Array | undefined
}

/** The most cards of a machine. */
const maxCards = 4

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
    if (mac && others.some((other) => other.mac && Buffer.compare(other.mac, mac) === 0))
      fail('ERR_INVALID_OPTION', `${at}.mac is another card's, too; each needs its own`)
  }
  return cards
}

/** An address that nobody else has: locally administered, of one station (IEEE 802). */
export function randomMac(): Uint8Array {
  const mac = randomBytes(6)
  mac[0] = (mac[0]! & 0xfc) | 2
  return mac
}

function checkCard(value: unknown, name: string): CheckedCard {
  const { frames, passt, mac } = checkShape(name, checkObject(name, value), cardShape)
  if (!frames === !passt)
    return fail('ERR_INVALID_OPTION', `${name} must have either frames or passt`)
  return { frames, mac }
}

function checkFrames(name: string, value: unknown): Duplex {
  if (!(value instanceof Duplex)) return invalid(name, 'a Duplex in object mode', value)
  if (!value.readableObjectMode || !value.writableObjectMode)
    return fail('ERR_INVALID_OPTION', `${name} must be in object mode: a frame is a chunk`)
  if (value.destroyed || value.readableEnded || value.writableEnded)
    return fail('ERR_INVALID_OPTION', `${name} must be open, got a Duplex that has ended`)
  return value
}

function checkMac(name: string, value: unknown): Uint8Array {
  const text = checkString(name, value)
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(text))
    return invalid(name, "six bytes in hexadecimal as '02:00:00:00:00:01'", value)
  const mac = Buffer.from(text.replaceAll(':', ''), 'hex')
  if ((mac[0]! & 1) !== 0) return invalid(name, "one station's address", `the group ${show(text)}`)
  return mac.some((byte) => byte !== 0) ? mac : invalid(name, "one station's address", value)
}

/** The names of the ports beside the console, in their order. */
export function checkPorts(name: string, value: unknown): string[] {
  const names = checkArray(name, value, maxPorts, (item, at) => {
    const text = checkString(at, item)
    const expected =
      'up to 63 letters, digits, ., _ and -, beginning with a letter or digit'
    return portName.test(text) ? text : invalid(at, expected, text)
  })
  for (const [index, each] of names.entries()) {
    if (names.indexOf(each) !== index)
      fail('ERR_INVALID_OPTION', `${name}[${index}] is named ${show(each)}, as another one is`)
  }
  return names
}

/** The most ports beside the console. */
const maxPorts = 15

const portName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

