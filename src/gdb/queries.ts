import { escaped, fromHex, parseNumber, toHex } from './wire/bytes.ts'
import { Files } from './files.ts'
import { maxPacketBytes } from './wire/framing.ts'
import { monitor } from './monitor.ts'
import { targetDescription } from './registers/description.ts'
import { bitsOf } from './registers/layout.ts'
import { type Answer, type Conversation, errors } from './served.ts'

/** What `qSupported` says of this side. */
const features = [
  `PacketSize=${maxPacketBytes.toString(16)}`,
  'QStartNoAckMode+',
  'qXfer:features:read+',
  'qXfer:threads:read+',
  'swbreak+',
  'hwbreak+',
  'vContSupported+',
]

/** Answers packets that ask about the target, and change nothing of the guest. */
export class Queries {
  readonly #conversation: Conversation
  readonly #files: Files
  readonly #documents: Record<string, () => string | undefined>
  /** What the client has said of itself. */
  #said: readonly string[] = []

  constructor(conversation: Conversation) {
    this.#conversation = conversation
    this.#files = new Files(conversation.symbols)
    this.#documents = {
      'features:target.xml': () => targetDescription(conversation.bits),
      'threads:': () => this.#threads(),
      'exec-file:': () => this.#files.name,
    }
  }

  /** Whether the client knows what a stop by `swbreak` or `hwbreak` is. */
  knows(why: string): boolean {
    return this.#said.includes(`${why}+`)
  }

  /** `selected` is the vCPU that packets speak of. */
  answer(text: string, selected: number): Answer {
    const [name = '', rest = ''] = text.split(/[:,;](.*)/s)
    const { vm } = this.#conversation
    switch (name) {
      case 'qSupported':
        this.#said = rest.split(';')
        return [...features, ...(this.#files.name ? ['qXfer:exec-file:read+'] : [])].join(';')
      case 'QStartNoAckMode':
        this.#conversation.channel.stopAcknowledging()
        return 'OK'
      case 'qXfer':
        return this.#transfer(rest)
      case 'qRcmd':
        return this.#monitor(rest)
      case 'qC':
        return `QC${(selected + 1).toString(16)}`
      case 'qfThreadInfo':
        return `m${vm.vcpus.map(({ index }) => (index + 1).toString(16)).join(',')}`
      case 'qsThreadInfo':
        return 'l'
      case 'qThreadExtraInfo': {
        const thread = parseNumber(rest) ?? 0n
        const vcpu = thread > 0n ? vm.vcpus[Number(thread) - 1] : undefined
        return vcpu ? toHex(this.#describe(vcpu.index)) : errors.wrong
      }
      case 'qAttached':
        // The machine is not the client's: it detaches where it would otherwise kill.
        return '1'
      case 'qSymbol':
        return 'OK'
      default:
        return ''
    }
  }

  /** `vFile:…`, of which `text` is what follows the colon. */
  file(text: string): Answer {
    return this.#files.answer(text)
  }

  #describe(vcpu: number): string {
    return `vCPU ${vcpu}, ${bitsOf(this.#conversation.vm.vcpus[vcpu]!.specialRegisters())} bits`
  }

  #threads(): string {
    const threads = this.#conversation.vm.vcpus.map(
      ({ index }) =>
        `<thread id="${(index + 1).toString(16)}" name="vCPU ${index}">${this.#describe(index)}</thread>`,
    )
    return `<?xml version="1.0"?><threads>${threads.join('')}</threads>`
  }

  /** `OBJECT:read:ANNEX:OFFSET,LENGTH`. */
  #transfer(text: string): Answer {
    const [, object, annex, from, length] =
      /^([\w-]+):read:([^:]*):([0-9a-f]+),([0-9a-f]+)$/i.exec(text) ?? []
    if (object === undefined) return ''
    // The program of a thread is that of all.
    const key = `${object}:${object === 'exec-file' ? '' : annex}`
    const document = Object.hasOwn(this.#documents, key) ? this.#documents[key]!() : undefined
    const [at, most] = [parseNumber(from), parseNumber(length)]
    if (document === undefined || at === undefined || most === undefined) return 'E00'
    const bytes = Buffer.from(document)
    const begin = at < BigInt(bytes.length) ? Number(at) : bytes.length
    // Escaped, it may be twice as long.
    const end = begin + Math.min(Number(most), maxPacketBytes / 2 - 1)
    const mark = end < bytes.length ? 'm' : 'l'
    return Buffer.concat([Buffer.from(mark), escaped(bytes.subarray(begin, end))])
  }

  #monitor(hex: string): Answer {
    const { vm, kept, execution, channel } = this.#conversation
    const text = fromHex(hex)
    if (!text) return errors.wrong
    const printed = Buffer.from(monitor(text.toString(), { vm, kept, last: execution.last }))
    const piece = maxPacketBytes / 4
    for (let at = 0; at < printed.length; at += piece) {
      channel.send(`O${toHex(printed.subarray(at, at + piece))}`)
    }
    return 'OK'
  }
}
