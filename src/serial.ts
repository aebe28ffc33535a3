import { Duplex } from 'node:stream'
import { setTimeout as later } from 'node:timers'

import { VmError } from './errors.ts'
import type { NativeMachine } from './seam.ts'

/** How soon a write looks again whether the guest has read on. */
const retryMs = 1

/**
 * The host's end of the guest's serial port, COM1: what is written here the guest receives, what the guest sends is read here.
 * A slow reader makes the guest wait (under `run()`), a slow guest makes the writer wait. The stream ends with `vm.close()`.
 *
 * @example
 * ```ts
 * vm.serial.on('data', (bytes) => process.stdout.write(bytes))
 * vm.serial.write('uname -a\n')
 * ```
 */
export class SerialPort extends Duplex {
  /** Whether a run can wait for the reader. */
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
    const taken = this.#machine.serialInput(chunk)
    if (taken === chunk.length) return done()
    const rest = chunk.subarray(taken)
    // The guest may never read; that alone keeps no process alive.
    later(() => {
      if (this.destroyed) done(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
      else this._write(rest, _encoding, done)
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
