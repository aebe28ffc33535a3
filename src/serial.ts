import { Duplex } from 'node:stream'
import { setTimeout as later } from 'node:timers'

import { VmError, fail } from './errors.ts'
import { native } from './native.ts'
import type { NativeMachine } from './seam.ts'

/** What waits for a reader at most while nobody can wait for that reader. */
const { maxOutputBytes } = native.limits()

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
  /** Whether a run can wait for the reader. @internal */
  mayWait = false
  readonly #machine: NativeMachine
  #readOn: (() => void) | undefined

  /** @internal */
  constructor(machine: NativeMachine) {
    super({ autoDestroy: true })
    this.#machine = machine
    machine.deliverSerial()
  }

  /** @internal */
  override _read(): void {
    this.#readOn?.()
    this.#readOn = undefined
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk, done)
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    const taken = this.#machine.serialInput(bytes)
    if (taken === bytes.length) return done()
    // The guest may never read; that alone keeps no process alive.
    later(() => {
      if (this.destroyed) done(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
      else this.#send(bytes.subarray(taken), done)
    }, retryMs).unref()
  }

  /** @internal */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#readOn?.()
    done(error)
  }

  /** Takes what the guest has sent; the promise of a reader that is behind. @internal */
  receive(bytes: Uint8Array): Promise<void> | undefined {
    if (this.destroyed) return undefined
    if (!this.mayWait && this.readableLength + bytes.length > maxOutputBytes) {
      const what = `${this.readableLength} bytes wait for the reader of vm.serial; use run(), which lets it read`
      return fail('ERR_LIMIT', what)
    }
    const takesMore = this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    if (takesMore || !this.mayWait) return undefined
    return new Promise((resolve) => (this.#readOn = resolve))
  }

  /** The machine is closed: what was received can still be read. @internal */
  finish(): void {
    this.#readOn?.()
    this.push(null)
    this.end()
  }
}
