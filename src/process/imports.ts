import { VmError, fail, raise, show, showThrown } from '../native/errors.ts'
import { checkObject } from '../options/check.ts'
import { suggestion } from '../options/nearest.ts'
import type { CallStop, Engine } from './engine/types.ts'
import { GuestFault } from './faults.ts'
import { type Declared, SECTION } from './section.ts'
import { type Guest, loadValue, storeValue } from './values/marshal.ts'
import { KINDS, type Kind } from './values/kinds.ts'
import { type Signature, parseSignature } from './values/signature.ts'

/** An import's registers: six words (RDI, RSI, RDX, R10, R8, R9), and XMM0 to XMM7 at its RSP. */
const WORDS = 6
const FLOATS = 8

/** An import as the caller gives it, checked. */
interface Given {
  readonly call: (...args: unknown[]) => unknown
  /** Instead of the guest's own. */
  readonly signature: Signature | undefined
}

/** A function of the caller's that a guest may call. */
export class Import {
  readonly name: string
  readonly #call: (...args: unknown[]) => unknown
  readonly #slots: readonly { kind: Kind; where: string; at: number }[]
  readonly #hasFloats: boolean
  readonly #result: Kind
  readonly #frame = new DataView(new ArrayBuffer(8 * (WORDS + FLOATS)))
  readonly #answer = new DataView(new ArrayBuffer(8))

  constructor(name: string, { result, parameters }: Signature, call: Given['call']) {
    this.name = name
    this.#call = call
    this.#result = result
    let [words, floats] = [0, 0]
    this.#slots = parameters.map((kind, index) => ({
      kind,
      where: `import ${name}: argument ${index + 1}`,
      at: 8 * (kind.place === 'float' ? WORDS + floats++ : words++),
    }))
    this.#hasFloats = floats > 0
  }

  /** What the function returns, which may be a promise; what it throws is `ERR_HANDLER`. */
  invoke(engine: Engine, guest: Guest, stop: CallStop): unknown {
    const args = this.#load(engine, guest, stop)
    try {
      return this.#call(...args)
    } catch (error) {
      return raise(this.failed(error))
    }
  }

  /** Gives the guest its answer: the word that is returned in RAX. */
  answer(engine: Engine, guest: Guest, stop: CallStop, value: unknown): bigint {
    const result = this.#result
    if (result.place === 'none') return 0n
    const where = `import ${this.name}: the result`
    // A string would have to stay in the guest, and none of ours does.
    if (result === KINDS.cstr && value !== null)
      return raise(new TypeError(`${where} must be null, got ${show(value)}; alloc it, as a ptr`))
    storeValue(guest, result, where, this.#answer, 0, value)
    if (result.place === 'word') return this.#answer.getBigUint64(0, true)
    const bytes = new Uint8Array(this.#answer.buffer)
    this.#reach(guest, stop.rsp, () => engine.write(stop.rsp, bytes))
    return 0n
  }

  failed(error: unknown): VmError {
    const message = `import ${this.name} failed: ${showThrown(error)}`
    return new VmError('ERR_HANDLER', message, { cause: error })
  }

  #load(engine: Engine, guest: Guest, stop: CallStop): unknown[] {
    const frame = this.#frame
    for (let word = 0; word < WORDS; word += 1)
      frame.setBigUint64(8 * word, stop.arguments[word]!, true)
    if (this.#hasFloats) {
      const floats = this.#reach(guest, stop.rsp, () => engine.read(stop.rsp, 8 * FLOATS))
      new Uint8Array(frame.buffer).set(floats, 8 * WORDS)
    }
    return this.#slots.map(({ kind, where, at }) => {
      const value = loadValue(guest, kind, where, frame, at)
      const isAddress = kind === KINDS.ptr || kind === KINDS.usize
      return !isAddress || Number.isSafeInteger(value) ? value : raise(this.#large(guest, where))
    })
  }

  #large(guest: Guest, where: string): GuestFault {
    const message = `${where}: the guest gave more than 2^53 - 1`
    return new GuestFault({ message, name: 'ERANGE', registers: guest.registers() })
  }

  /** The stack is wherever the guest says. */
  #reach<T>(guest: Guest, address: bigint, access: () => T): T {
    try {
      return access()
    } catch (error) {
      if (!(error instanceof VmError) || error.code !== 'ERR_GUEST_MEMORY') return raise(error)
      const message = `import ${this.name}: the guest has no stack at 0x${address.toString(16)}`
      const registers = guest.registers()
      return raise(new GuestFault({ message, name: 'EFAULT', address, registers }))
    }
  }
}

/** All that an image asks for, by the numbers under which it does. */
export function bindImports(declared: readonly Declared[], option: unknown): Map<bigint, Import> {
  const given = option === undefined ? {} : checkObject('imports', option)
  const names = Object.keys(given)
  return new Map(
    declared.map(({ name, address, signature }) => {
      if (!Object.hasOwn(given, name)) {
        const what = `imports must have ${name}, which the image asks for as ${show(signature)}`
        return fail('ERR_INVALID_OPTION', what + suggestion(name, names))
      }
      const asked = parseSignature(`section ${SECTION}: ${name}`, signature, 'ERR_PAYLOAD')
      const { call, signature: own = asked } = checkImport(name, given[name])
      return [address, new Import(name, checkFit(name, own, asked), call)]
    }),
  )
}

function checkImport(name: string, value: unknown): Given {
  const what = `imports.${name}`
  const [text, call] = Array.isArray(value) ? value : [undefined, value]
  if (typeof call !== 'function' || (Array.isArray(value) && value.length !== 2)) {
    const wanted = 'a function, or an array of a signature and a function'
    return fail('ERR_INVALID_OPTION', `${what} must be ${wanted}, got ${show(value)}`)
  }
  const signature =
    text === undefined ? undefined : parseSignature(what, text, 'ERR_INVALID_OPTION')
  return { call: call as Given['call'], signature }
}

/** The guest passes what its own declaration says, so another one may only read it otherwise. */
function checkFit(name: string, own: Signature, declared: Signature): Signature {
  const shape = ({ result, parameters }: Signature): string =>
    [result, ...parameters].map(({ place }) => place).join(' ')
  if (shape(own) !== shape(declared)) {
    const what = `imports.${name} is ${own.text}, but the image declares ${declared.text}`
    return fail('ERR_INVALID_OPTION', what)
  }
  if (declared.isVariadic || own.isVariadic)
    return fail('ERR_PAYLOAD', `import ${name} is variadic, which no import can be: ${own.text}`)
  const floats = own.parameters.filter(({ place }) => place === 'float').length
  if (floats <= FLOATS && own.parameters.length - floats <= WORDS) return own
  const most = `${WORDS} words and ${FLOATS} floating-point numbers`
  return fail('ERR_PAYLOAD', `import ${name} has more parameters than ${most}: ${own.text}`)
}
