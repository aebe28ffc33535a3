import { Duplex } from 'node:stream'
import { clearTimeout, setTimeout as later } from 'node:timers'

import { VmError, fail } from './errors.ts'
import { native } from './native.ts'
import type { NativeMachine } from './seam.ts'

/** What waits for a reader at most while nobody can wait for that reader. */
const { maxOutputBytes } = native.limits()

type WriteCallback = (error?: Error | null) => void

/** How soon a write looks again whether the guest has read on. */
const retryMs = 1

/**
 * The host's end of the guest's serial port, COM1: what is written here the guest receives, what the guest sends is read here.
 * A slow reader makes the guest wait under `run()`; a `runSync()` fails when 16 MiB are unread. A slow guest makes the writer wait.
 * The stream ends with `vm.close()`.
 *
 * @example
 * ```ts
 * // mov dx, 0x3f8; in al, dx; out dx, al; hlt
 * const image = Uint8Array.of(0xba, 0xf8, 0x03, 0xec, 0xee, 0xf4)
 * using vm = new VirtualMachine({ mode: 'real', serial: true, payload: { image } })
 * vm.serial.on('data', (bytes) => console.log(String(bytes))) // x
 * vm.serial.write('x')
 * await vm.run()
 * ```
 */
export class SerialPort extends Duplex {
  readonly #machine: NativeMachine
  readonly #mayWait: () => boolean
  #readOn: (() => void) | undefined
  /** A write that the guest has not read on for yet. */
  #waiting: { bytes: Buffer; done: WriteCallback } | undefined
  #retry: NodeJS.Timeout | undefined

  /** `mayWait` tells whether a run is under way that can wait for the reader. @internal */
  constructor(machine: NativeMachine, mayWait: () => boolean) {
    super({ autoDestroy: true })
    this.#machine = machine
    this.#mayWait = mayWait
    machine.deliverSerial()
  }

  /** @internal */
  override _read(): void {
    this.#readOn?.()
    this.#readOn = undefined
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: string, done: WriteCallback): void {
    this.#waiting = { bytes: chunk, done }
    this.#send()
  }

  readonly #send = (): void => {
    if (!this.#waiting) return
    const { bytes, done } = this.#waiting
    const taken = this.#machine.serialInput(bytes)
    if (taken === bytes.length) {
      this.#waiting = undefined
      return done()
    }
    this.#waiting.bytes = bytes.subarray(taken)
    // The guest may never read; that alone keeps no process alive.
    this.#retry = later(this.#send, retryMs).unref()
  }

  /** @internal */
  override _destroy(error: Error | null, done: WriteCallback): void {
    this.#readOn?.()
    clearTimeout(this.#retry)
    this.#waiting?.done(new VmError('ERR_VM_CLOSED', 'the guest did not read what was written'))
    this.#waiting = undefined
    done(error)
  }

  /** Takes what the guest has sent; the promise of a reader that is behind. @internal */
  receive(bytes: Uint8Array): Promise<void> | undefined {
    if (this.destroyed) return undefined
    if (!this.#mayWait() && this.readableLength + bytes.length > maxOutputBytes) {
      const what = `${this.readableLength} bytes wait for the reader of vm.serial; use run(), which lets it read`
      return fail('ERR_LIMIT', what)
    }
    const takesMore = this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    if (takesMore || !this.#mayWait()) return undefined
    return new Promise((resolve) => (this.#readOn = resolve))
  }

  /** The machine is closed: what was received can still be read, and what is written goes nowhere. @internal */
  finish(): void {
    this.#readOn?.()
    this.push(null)
    if (!this.#waiting) return void this.end()
    const isRead = this.readableFlowing !== null && this.readableLength > 0
    if (isRead) this.once('end', () => this.destroy())
    else this.destroy()
  }
}
