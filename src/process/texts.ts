import { VmError, raise } from '../native/errors.ts'
import type { Engine } from './engine/types.ts'
import type { Heap } from './heap.ts'

const PAGE = 4096
/** For strings that are arguments, of one call; longer ones get a block of their own. */
const SCRATCH_BYTES = 16 * 1024
/** The longest string that is copied out of a guest. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024
/** Pages that are read at once after the first, if all of them are there. */
const AHEAD = 16
/** There is no address after it. */
const END = 1n << 64n

const encoder = new TextEncoder()
// Of bytes that are no UTF-8 it makes U+FFFD.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Strings that are in the guest for the time of one call, one call at a time. */
export class Texts {
  readonly #engine: Engine
  readonly #heap: Heap
  #scratch: number
  #used = 0
  #blocks: number[] = []

  constructor(engine: Engine, heap: Heap) {
    this.#engine = engine
    this.#heap = heap
    this.#scratch = heap.alloc(SCRATCH_BYTES)
  }

  /** After the heap was cleared. */
  renew(): void {
    this.#scratch = this.#heap.alloc(SCRATCH_BYTES)
    this.#blocks = []
    this.#used = 0
  }

  /** Copies bytes in, with a NUL after them, and gives their address. */
  put(text: string | Uint8Array): number {
    const bytes = typeof text === 'string' ? encoder.encode(`${text}\0`) : terminated(text)
    const at = this.#place(bytes.length)
    this.#engine.write(BigInt(at), bytes)
    return at
  }

  /** Gives back what the call's strings took. */
  clear(): void {
    this.#used = 0
    if (this.#blocks.length === 0) return
    for (const block of this.#blocks) this.#heap.free(block)
    this.#blocks = []
  }

  /** The string at an address. Nothing if there is none that ends, or it is too long. */
  get(address: bigint): string | undefined {
    const parts: Uint8Array[] = []
    let [at, length, pages] = [address, 0, 1]
    while (length < MAX_TEXT_BYTES && at < END) {
      const wanted = pages * PAGE - Number(at % BigInt(PAGE))
      const part = this.#read(at, wanted)
      if (!part && pages === 1) return undefined
      if (!part) {
        pages = 1
        continue
      }
      const end = part.indexOf(0)
      if (end >= 0) return decoder.decode(joined(parts, part.subarray(0, end)))
      parts.push(part)
      at += BigInt(wanted)
      length += wanted
      pages = AHEAD
    }
    return undefined
  }

  #read(at: bigint, length: number): Uint8Array | undefined {
    try {
      return this.#engine.read(at, length)
    } catch (error) {
      const isHole = error instanceof VmError && error.code === 'ERR_GUEST_MEMORY'
      return isHole ? undefined : raise(error)
    }
  }

  #place(bytes: number): number {
    if (this.#used + bytes <= SCRATCH_BYTES) {
      const at = this.#scratch + this.#used
      this.#used += bytes
      return at
    }
    const block = this.#heap.alloc(bytes)
    this.#blocks.push(block)
    return block
  }
}

function terminated(bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(bytes.length + 1)
  all.set(bytes)
  return all
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  if (parts.length === 0) return last
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, last.length))
  let at = 0
  for (const part of [...parts, last]) {
    all.set(part, at)
    at += part.length
  }
  return all
}
