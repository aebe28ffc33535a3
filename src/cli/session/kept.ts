import { Writable } from 'node:stream'

import { native } from '../../native/native.ts'

const { maxOutputBytes } = native.limits()

/** What a guest prints, for a document. */
export class Kept extends Writable {
  #chunks: Buffer[] = []
  #bytes = 0
  /** Bytes that were too many to keep. */
  droppedBytes = 0

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const room = maxOutputBytes - this.#bytes
    const kept = chunk.subarray(0, room)
    this.#chunks.push(kept)
    this.#bytes += kept.length
    this.droppedBytes += chunk.length - kept.length
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }
}
