// Between the machine and its host: files that grow with what the machine says, and a socket for its orders.
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'

const CHUNK_BYTES = 64 * 1024

/** Hands over what a growing file has got since the last call. */
export class Tail {
  #position = 0
  #buffer = Buffer.alloc(CHUNK_BYTES)

  constructor(path, take) {
    writeFileSync(path, '')
    this.descriptor = openSync(path, 'r')
    this.take = take
  }

  read() {
    let length
    do {
      length = readSync(this.descriptor, this.#buffer, 0, CHUNK_BYTES, this.#position)
      this.#position += length
      if (length > 0) this.take(Buffer.from(this.#buffer.subarray(0, length)))
    } while (length > 0)
  }

  close() {
    closeSync(this.descriptor)
  }
}

/** What the port for events has said: `ready SECONDS`, `step INDEX STATUS SECONDS`, `done`. */
export class Events {
  ready = false
  done = false
  /** How each step ended that this machine has run, by its index. */
  ends = new Map()
  #rest = ''

  take(chunk) {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) {
      const [word, ...numbers] = line.split(' ')
      const [index, status, seconds] = numbers.map(Number)
      if (word === 'ready') this.ready = true
      if (word === 'done') this.done = true
      if (word === 'step') this.ends.set(index, { status, seconds })
    }
  }
}

/** Orders one step after the other, as `next` names them by index, and then the end. */
export class Orders {
  /** The index of the last order; undefined for the end. */
  step
  /** When it was given; undefined before the first one. */
  since
  #socket

  constructor(path, next) {
    this.path = path
    this.next = next
  }

  /** Gives the next order if the machine waits for one. */
  give({ ready, ends }, now) {
    const waits = this.since === undefined ? ready : ends.has(this.step)
    if (!waits) return
    this.step = this.next()
    this.since = now
    // QEMU listens since long before the machine is ready; how it ends is seen elsewhere.
    this.#socket ??= connect(this.path).on('error', () => {})
    this.#socket.write(`${this.step ?? 'end'}\n`)
  }

  close() {
    this.#socket?.destroy()
  }
}
