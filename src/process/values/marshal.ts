import { raise, show } from '../../native/errors.ts'
import { checkBytes } from '../../options/check.ts'
import { MAILBOX } from '../engine/types.ts'
import { GuestFault } from '../faults.ts'
import type { Registers } from '../../results/registers.ts'
import type { Texts } from '../texts.ts'
import { KINDS, type Kind } from './kinds.ts'
import type { Signature } from './signature.ts'

/** How many arguments travel in registers (System V ABI, AMD64 supplement, §3.2.3). */
const WORDS = 6
const FLOATS = 8

const NO_STACK: readonly bigint[] = []

/** What has a guest's strings, and its registers when it gave a bad one. */
export interface Guest {
  readonly texts: Texts
  registers(): Registers
}

/** Where a parameter is stored: in the mailbox, or in a slot of the stack. */
interface Slot {
  readonly kind: Kind
  readonly where: string
  readonly isOnStack: boolean
  readonly at: number
}

function slotsOf(name: string, parameters: readonly Kind[]): Slot[] {
  let [words, floats, stack] = [0, 0, 0]
  return parameters.map((kind, index) => {
    const where = `${name}: argument ${index + 1}`
    const isFloat = kind.place === 'float'
    if (isFloat && floats < FLOATS)
      return { kind, where, isOnStack: false, at: MAILBOX.floats + 8 * floats++ }
    if (!isFloat && words < WORDS)
      return { kind, where, isOnStack: false, at: MAILBOX.words + 8 * words++ }
    return { kind, where, isOnStack: true, at: 8 * stack++ }
  })
}

/** Stores a value of JavaScript. `where` names function and position. */
export function storeValue(
  { texts }: Pick<Guest, 'texts'>,
  kind: Kind,
  where: string,
  view: DataView,
  at: number,
  value: unknown,
): void {
  if (kind.type === 'text') {
    kind.store(view, at, pointerTo(texts, where, value) as never)
    return
  }
  if (typeof value !== kind.type)
    return raise(new TypeError(`${where} must be ${kind.wants}, got ${show(value)}`))
  if (!kind.fits(value as never))
    return raise(new RangeError(`${where} must be ${kind.wants}, got ${show(value)}`))
  kind.store(view, at, value as never)
}

function pointerTo(texts: Texts, where: string, value: unknown): number {
  if (value === null) return 0
  const isText = typeof value === 'string'
  if (!isText && !(value instanceof Uint8Array))
    return raise(new TypeError(`${where} must be ${KINDS.cstr.wants}, got ${show(value)}`))
  const text = isText ? value : checkBytes(where, value)
  const hasEnd = typeof text === 'string' ? text.includes('\0') : text.includes(0)
  if (!hasEnd) return texts.put(text)
  const advice = 'must have no NUL, which would end it; alloc memory and pass a ptr'
  return raise(new RangeError(`${where} ${advice}`))
}

/** A value of the guest's. Its own mistakes are faults of it. */
export function loadValue(guest: Guest, kind: Kind, where: string, view: DataView, at: number) {
  const value = kind.load(view, at)
  if (kind.type !== 'text') return value
  const address = view.getBigUint64(at, true)
  if (address === 0n) return null
  const text = guest.texts.get(address)
  if (text !== undefined) return text
  const message = `${where}: the guest gave no string at 0x${address.toString(16)}`
  return raise(new GuestFault({ message, name: 'EFAULT', address, registers: guest.registers() }))
}

/** What a call writes before and reads after it; made once for a function. */
export class Marshaller {
  readonly name: string
  readonly #guest: Guest
  readonly #slots: readonly Slot[]
  readonly #result: Kind
  /** The words on the stack, if there are any. */
  readonly #stack: DataView | undefined
  readonly #isVariadic: boolean

  constructor(name: string, { result, parameters, isVariadic }: Signature, guest: Guest) {
    this.name = name
    this.#guest = guest
    this.#slots = slotsOf(name, parameters)
    this.#result = result
    this.#isVariadic = isVariadic
    const count = this.#slots.filter(({ isOnStack }) => isOnStack).length
    this.#stack = count === 0 ? undefined : new DataView(new ArrayBuffer(8 * count))
  }

  /** Writes all arguments, and gives the words for the stack. */
  store(mailbox: DataView, args: readonly unknown[]): readonly bigint[] {
    const slots = this.#slots
    if (args.length !== slots.length || this.#isVariadic)
      return raise(this.#wrongCount(args.length))
    for (let index = 0; index < slots.length; index += 1) {
      const { kind, where, isOnStack, at } = slots[index]!
      const view = isOnStack ? this.#stack! : mailbox
      storeValue(this.#guest, kind, where, view, at, args[index])
    }
    return this.#stack ? wordsOf(this.#stack) : NO_STACK
  }

  /** What the function returned. */
  load(mailbox: DataView): unknown {
    const result = this.#result
    if (result.place === 'none') return undefined
    const at = result.place === 'float' ? MAILBOX.xmm0 : MAILBOX.rax
    const value = loadValue(this.#guest, result, `${this.name}: the result`, mailbox, at)
    if (result !== KINDS.ptr && result !== KINDS.usize) return value
    if (Number.isSafeInteger(value)) return value
    const word = `0x${mailbox.getBigUint64(at, true).toString(16)}`
    const what = `${this.name}: the result must be ${result.wants}, got ${word}`
    return raise(new RangeError(`${what}; name it u64 in the signature`))
  }

  #wrongCount(given: number): TypeError {
    const { length } = this.#slots
    if (this.#isVariadic) {
      const advice = 'name its arguments in exports, as i32(i32, f64)'
      return new TypeError(`${this.name} is variadic: ${advice}`)
    }
    return new TypeError(`${this.name} takes ${count(length)}, got ${given}`)
  }
}

const count = (arguments_: number): string =>
  arguments_ === 1 ? '1 argument' : `${arguments_ === 0 ? 'no' : arguments_} arguments`

const wordsOf = (view: DataView): bigint[] =>
  Array.from({ length: view.byteLength / 8 }, (_, index) => view.getBigUint64(8 * index, true))
