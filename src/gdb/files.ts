import { fromHex, escaped, parseNumber } from './wire/bytes.ts'
import { maxPacketBytes } from './wire/framing.ts'

const NAME = '/vmexit.elf'
/** The only descriptor. */
const DESCRIPTOR = 3n
/** Errors of the protocol's files. */
const [NO_SUCH_FILE, BAD_DESCRIPTOR, INVALID] = [2, 9, 22]
/** `struct stat` of the protocol: 64 bytes, big-endian, with the size at byte 28. */
const STAT = { bytes: 64, modeAt: 8, mode: 0o100_444, sizeAt: 28 } as const

const failure = (errno: number): string => `F-1,${errno.toString(16)}`

/** The image with the symbols, as a client can read it over the connection. */
export class Files {
  readonly #image: Uint8Array | undefined
  #isOpen = false

  constructor(image: Uint8Array | undefined) {
    this.#image = image
  }

  /** Its path, if there is one. */
  get name(): string | undefined {
    return this.#image && NAME
  }

  /** Answers `vFile:…`, of which `text` is what follows the colon. */
  answer(text: string): string | Buffer {
    const [operation = '', rest = ''] = text.split(/:(.*)/s)
    const words = rest.split(',')
    switch (operation) {
      case 'setfs':
        return 'F0'
      case 'open':
        return this.#open(words)
      case 'pread':
        return this.#read(words.map(parseNumber))
      case 'fstat':
        return this.#stat(parseNumber(words[0]))
      case 'close':
        if (!this.#isDescriptor(parseNumber(words[0]))) return failure(BAD_DESCRIPTOR)
        this.#isOpen = false
        return 'F0'
      default:
        return ''
    }
  }

  #isDescriptor(number: bigint | undefined): boolean {
    return this.#isOpen && number === DESCRIPTOR
  }

  #open([name = '', flags]: readonly string[]): string {
    const isOurs = this.#image && fromHex(name)?.toString() === NAME && parseNumber(flags) === 0n
    if (!isOurs) return failure(NO_SUCH_FILE)
    this.#isOpen = true
    return `F${DESCRIPTOR.toString(16)}`
  }

  #read([descriptor, count, at]: readonly (bigint | undefined)[]): string | Buffer {
    if (!this.#isDescriptor(descriptor)) return failure(BAD_DESCRIPTOR)
    if (count === undefined || at === undefined) return failure(INVALID)
    const image = this.#image!
    const begin = at < BigInt(image.length) ? Number(at) : image.length
    // Escaped, it may be twice as long.
    const most = Math.min(maxPacketBytes / 2 - 16, Number(count))
    const bytes = image.subarray(begin, begin + most)
    const head = Buffer.from(`F${bytes.length.toString(16)};`)
    return Buffer.concat([head, escaped(bytes)])
  }

  #stat(descriptor: bigint | undefined): string | Buffer {
    if (!this.#isDescriptor(descriptor)) return failure(BAD_DESCRIPTOR)
    const stat = Buffer.alloc(STAT.bytes)
    stat.writeUInt32BE(STAT.mode, STAT.modeAt)
    stat.writeBigUInt64BE(BigInt(this.#image!.length), STAT.sizeAt)
    return Buffer.concat([Buffer.from(`F${STAT.bytes.toString(16)};`), escaped(stat)])
  }
}
