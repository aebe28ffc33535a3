import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { Duplex, type Readable } from 'node:stream'

import { VmError, fail } from '../../native/errors.ts'
import { findProgram } from '../../native/programs.ts'

/** The guest's network, as user networks of virtual machines have it. */
const address = ['--address', '10.0.2.15', '--netmask', '24', '--gateway', '10.0.2.2']

/**
 * In the foreground, so that it is our child; the socket is a pair that Node.js makes, which leaves
 * no file. On the loopback interface, as addresses are given and a host may lack a default route.
 */
const settings = [
  ...['--foreground', '--quiet', '--fd', '3'],
  ...['--ipv4-only', '--interface', 'lo', '--mac-addr', '52:55:0a:00:02:02', '--mtu', '1500'],
  ...address,
]

/** A frame's length comes before it, in four bytes, the highest first. */
const headerBytes = 4

/** More than any frame has; what claims more has lost its place. */
const mostBytes = 1 << 16

/** How much of what passt says is kept for a message. */
const keptChars = 2000

type Callback = (error?: Error | null) => void

/**
 * passt, run beside: a `Duplex` of frames. It ends when the stream is destroyed, and when this
 * process ends, however that comes: it then reads the end of its socket.
 */
export class Passt extends Duplex {
  readonly #child: ChildProcess
  readonly #socket: Socket
  /** What came of a frame that is not whole. */
  #rest: Buffer = Buffer.alloc(0)
  #said = ''

  /** @throws {VmError} `ERR_INVALID_OPTION` if there is no passt; `name` is the option. */
  constructor(name: string) {
    super({ objectMode: true })
    this.#child = spawn(findPasst(name), settings, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
    this.#socket = this.#child.stdio[3] as Socket
    const errors = this.#child.stderr as Readable & Socket
    errors.on('data', (text: Buffer) => (this.#said = `${this.#said}${text}`.slice(-keptChars)))
    errors.unref()
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.unref()
    this.#child.on('error', (cause) => this.#fail(cause.message))
    this.#child.on('close', (code, signal) => this.#fail(this.#why(code ?? signal)))
    this.#child.unref()
  }

  /** The process's number. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** @internal */
  override _write(frame: Uint8Array, _encoding: string, done: Callback): void {
    const bytes = Buffer.allocUnsafe(headerBytes + frame.length)
    bytes.writeUInt32BE(frame.length)
    bytes.set(frame, headerBytes)
    // An error is the end of the process, too, which says why.
    this.#socket.write(bytes, () => done())
  }

  /** @internal */
  override _read(): void {
    this.#socket.resume()
  }

  /** Nothing more comes from the guest: its machine is closed. @internal */
  override _final(done: Callback): void {
    done()
    this.destroy()
  }

  /** @internal */
  override _destroy(error: Error | null, done: Callback): void {
    this.#socket.destroy()
    this.#child.kill()
    done(error)
  }

  #receive(bytes: Buffer): void {
    let rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    let takesMore = true
    while (rest.length >= headerBytes) {
      const length = rest.readUInt32BE()
      if (length > mostBytes) return this.#fail(`it sent a frame of ${length} bytes`)
      if (rest.length < headerBytes + length) break
      takesMore = this.push(rest.subarray(headerBytes, headerBytes + length))
      rest = rest.subarray(headerBytes + length)
    }
    this.#rest = rest
    if (!takesMore) this.#socket.pause()
  }

  #fail(why: string): void {
    if (this.destroyed) return
    this.destroy(new VmError('ERR_INVALID_OPTION', `passt has ended: ${why}`))
  }

  /** What it said itself, but for its complaints about a system without a log. */
  #why(end: number | string | null): string {
    const lines = this.#said.split('\n').map((line) => line.trim())
    const said = lines.filter((line) => line !== '' && !line.startsWith('Failed to send'))
    return said.length > 0 ? said.join(' ') : `exit ${end}`
  }
}

/** Where it stands on PATH. */
function findPasst(name: string): string {
  const what = `${name}.passt needs the program passt, which is not on PATH`
  return findProgram('passt') ?? fail('ERR_INVALID_OPTION', `${what}; install the package 'passt'`)
}
