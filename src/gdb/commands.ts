import { type VmError, raise } from '../native/errors.ts'
import type { Vcpu } from '../machine/vcpu/vcpu.ts'
import { fromHex, parseNumber, toHex, unescaped } from './wire/bytes.ts'
import { type Report, signals } from './going/ends.ts'
import type { Way } from './going/execution.ts'
import { maxPacketBytes } from './wire/framing.ts'
import { readMemory, writeMemory } from './memory.ts'
import { Queries } from './queries.ts'
import { RegisterFile } from './registers/access.ts'
import { type Answer, type Conversation, errors } from './served.ts'

/** How many actions one packet may have. */
const MAX_ACTIONS = 64

/** Answers packets. What is unknown has an empty answer: a client does without it. */
export class Commands {
  readonly #conversation: Conversation
  readonly #queries: Queries
  readonly #registers: RegisterFile
  /** The vCPUs that packets speak of: for registers and memory, and for what goes on. */
  readonly #selected = { g: 0, c: 0 }
  #report: Report = { kind: 'stopped', signal: signals.trap, vcpu: 0 }
  #isOver = false
  #isDetached = false

  constructor(conversation: Conversation) {
    this.#conversation = conversation
    this.#queries = new Queries(conversation)
    this.#registers = new RegisterFile(conversation.bits)
  }

  /** Whether the client has said farewell. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether it wants the guest to go on after that. */
  get isDetached(): boolean {
    return this.#isDetached
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.#conversation.execution.interrupt(this.#selected.g)
  }

  /** Answers one packet. */
  async answer(body: Buffer): Promise<Answer> {
    const text = body.toString('latin1')
    const { execution } = this.#conversation
    if (execution.isGoing) {
      if (text !== 'vCtrlC') return errors.busy
      this.interrupt()
      return 'OK'
    }
    try {
      await execution.halt()
      return this.#command(text, body)
    } catch (error) {
      const isOurs = error instanceof Error && error.name === 'VmError'
      if (!isOurs || (error as VmError).code === 'ERR_INTERNAL') return raise(error)
      return (error as VmError).code === 'ERR_VM_BUSY' ? errors.busy : errors.refused
    }
  }

  /** How a client is told that the machine stands still. */
  stopped(report: Report): string {
    this.#report = report
    if (report.kind === 'exited') return `W${toByte(report.code)}`
    if (report.kind === 'gone') return `X${toByte(signals.kill)}`
    const { signal, vcpu, why, address } = report
    this.#selected.g = vcpu
    this.#selected.c = vcpu
    const place = `T${toByte(signal)}thread:${(vcpu + 1).toString(16)};`
    if (why === undefined) return place
    if (address !== undefined) return `${place}${why}:${address.toString(16)};`
    return this.#queries.knows(why) ? `${place}${why}:;` : place
  }

  #command(text: string, body: Buffer): Answer {
    const rest = text.slice(1)
    switch (text[0]) {
      case '?':
        return this.stopped(this.#report)
      case 'q':
      case 'Q':
        return this.#queries.answer(text, this.#selected.g)
      case 'v':
        return this.#verbose(text)
      case 'g':
        return this.#registers.readAll(this.#vcpu)
      case 'G':
        return done(this.#registers.writeAll(this.#vcpu, rest))
      case 'p':
        return this.#registers.read(this.#vcpu, numberOf(rest)) ?? errors.wrong
      case 'P': {
        const [number, value = ''] = rest.split('=')
        return done(this.#registers.write(this.#vcpu, numberOf(number), value))
      }
      case 'm':
        return this.#read(rest)
      case 'M':
        return this.#write(rest, (data) => fromHex(data))
      case 'X':
        return this.#write(rest, (data) => unescaped(body.subarray(body.length - data.length)))
      case 'Z':
      case 'z':
        return this.#point(text[0], rest)
      case 'c':
      case 'C':
      case 's':
      case 'S':
        return this.#goOn(text[0], rest)
      default:
        return this.#manage(text, rest)
    }
  }

  /** Threads, and the end of the conversation. */
  #manage(text: string, rest: string): Answer {
    switch (text[0]) {
      case 'H':
        return this.#select(rest)
      case 'T':
        return done(this.#threadOf(rest) !== undefined)
      case 'D':
        this.#isOver = true
        this.#isDetached = true
        return 'OK'
      case 'k':
        this.#kill()
        return undefined
      default:
        return ''
    }
  }

  #verbose(text: string): Answer {
    if (text === 'vCont?') return 'vCont;c;C;s;S'
    if (text.startsWith('vCont;')) return this.#continue(text.slice('vCont;'.length))
    if (text.startsWith('vFile:')) return this.#queries.file(text.slice('vFile:'.length))
    if (text === 'vCtrlC') return 'OK'
    if (!text.startsWith('vKill')) return ''
    this.#kill()
    return 'OK'
  }

  get #vcpu(): Vcpu {
    return this.#conversation.vm.vcpus[this.#selected.g]!
  }

  #kill(): void {
    this.#isOver = true
    this.#conversation.vm.stop()
  }

  /** The vCPU of a thread's number; the first one for any; `undefined` if there is none. */
  #threadOf(text: string): number | undefined {
    const number = parseNumber(text)
    if (number === 0n) return 0
    const { length } = this.#conversation.vm.vcpus
    return number !== undefined && number <= BigInt(length) ? Number(number) - 1 : undefined
  }

  #select(text: string): Answer {
    const kind = text[0]
    const thread = text.slice(1)
    if (kind !== 'g' && kind !== 'c') return errors.wrong
    // All of them, or any: the one that was last spoken of.
    const vcpu = thread === '-1' || thread === '0' ? this.#selected[kind] : this.#threadOf(thread)
    if (vcpu === undefined) return errors.wrong
    this.#selected[kind] = vcpu
    return 'OK'
  }

  #read(text: string): Answer {
    const range = rangeOf(text)
    // Two digits for a byte.
    if (!range || range.length > maxPacketBytes / 2) return errors.wrong
    const memory = this.#conversation.vm.virtual(this.#selected.g)
    const bytes = readMemory(memory, range.address, range.length)
    return bytes ? toHex(bytes) : errors.memory
  }

  #write(text: string, decode: (data: string) => Uint8Array | undefined): Answer {
    const colon = text.indexOf(':')
    const range = rangeOf(text.slice(0, Math.max(colon, 0)))
    const bytes = range && decode(text.slice(colon + 1))
    if (!range || bytes?.length !== range.length) return errors.wrong
    const memory = this.#conversation.vm.virtual(this.#selected.g)
    return writeMemory(memory, range.address, bytes) ? 'OK' : errors.memory
  }

  #point(what: 'Z' | 'z', text: string): Answer {
    // Conditions and commands after these are for stubs that evaluate them.
    const [, type, at, kind] = /^([0-9a-f]),([0-9a-f]+),([0-9a-f]+)$/i.exec(text) ?? []
    const [address, bytes] = [parseNumber(at), parseNumber(kind)]
    if (type === undefined || address === undefined || bytes === undefined) return errors.wrong
    const { points } = this.#conversation
    const wanted = [Number.parseInt(type, 16), address, Number(bytes)] as const
    if (what === 'Z') return done(points.insert(...wanted))
    points.remove(...wanted)
    return 'OK'
  }

  /** `c`, `C`, `s` and `S`, with an address to go on from. */
  #goOn(what: 'c' | 'C' | 's' | 'S', text: string): Answer {
    const at = what === 'c' || what === 's' ? text : text.split(';')[1]
    if (at) {
      const address = parseNumber(at)
      if (address === undefined) return errors.wrong
      this.#registers.jump(this.#conversation.vm.vcpus[this.#selected.c]!, address)
    }
    const isStep = what === 's' || what === 'S'
    return this.#resume(
      isStep ? { kind: 'step', vcpu: this.#selected.c, alone: false } : { kind: 'all' },
    )
  }

  /** The actions of `vCont`: the first that fits a vCPU is meant for it. */
  #continue(text: string): Answer {
    const actions = text.split(';').map((action) => /^([csCS])[0-9a-f]*(?::(.+))?$/.exec(action))
    if (actions.length > MAX_ACTIONS || actions.includes(null)) return errors.wrong
    const kinds = this.#conversation.vm.vcpus.map(({ index }) => {
      const fits = actions.find((action) => {
        const thread = action![2]
        return thread === undefined || thread === '-1' || this.#threadOf(thread) === index
      })
      return fits?.[1]?.toLowerCase()
    })
    const [step, goes] = [kinds.indexOf('s'), kinds.filter((kind) => kind === 'c').length]
    if (step >= 0) return this.#resume({ kind: 'step', vcpu: step, alone: goes === 0 })
    if (goes === 0) return errors.wrong
    const isOne = goes === 1 && kinds.length > 1
    return this.#resume(isOne ? { kind: 'only', vcpu: kinds.indexOf('c') } : { kind: 'all' })
  }

  #resume(way: Way): Answer {
    this.#conversation.execution.resume(way)
    return undefined
  }
}

const toByte = (value: number): string => value.toString(16).padStart(2, '0')

const done = (isDone: boolean): string => (isDone ? 'OK' : errors.wrong)

/** A register's number; none has that of what is no number. */
const numberOf = (text: string | undefined): number => Number(parseNumber(text) ?? -1)

/** `ADDRESS,LENGTH`. */
function rangeOf(text: string): { address: bigint; length: number } | undefined {
  const [at, bytes, ...rest] = text.split(',')
  const [address, length] = [parseNumber(at), parseNumber(bytes)]
  if (address === undefined || length === undefined || rest.length > 0) return undefined
  return { address, length: Number(length) }
}
