import { clearTimeout, setTimeout as later } from 'node:timers'

import { fail } from '../../native/errors.ts'
import { GuestStream } from './guest-stream.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'

/** The most bytes that are kept for a reader while no thread can wait for it. */
const { maxOutputBytes } = native.limits()

/** How soon a write checks again whether the guest has read. */
const retryMs = 1

/**
 * The host's end of the guest's serial port, COM1. The guest receives what is written to the
 * stream; what the guest sends is read from it. Under `run()` a slow reader makes the guest wait;
 * `runSync()` fails when 16 MiB are unread. A slow guest makes the writer wait. During a run a
 * reader that waits for text keeps the process alive, as with a socket.
 *
 * The stream continues from run to run and ends with `vm.close()`. Leaving a `for await` loop
 * leaves the stream open: what the guest sends waits for the next reader, and in time the guest
 * waits, too. After `destroy()` text joins `result.output` again, until the next access to
 * `vm.serial` makes a new stream.
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
 *
 * @category Devices
 */
export class SerialPort extends GuestStream {
  readonly #machine: NativeMachine
  #readOn: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  /** `mayWait` tells whether a run is under way that can wait for the reader. @internal */
  constructor(machine: NativeMachine, mayWait: () => boolean) {
    super(mayWait)
    this.#machine = machine
    machine.deliverSerial(true)
  }

  /**
   * Chunk by chunk, until `vm.close()`. Leaving the loop leaves the stream open.
   *
   * @example
   * ```ts
   * // mov dx, 0x3f8; mov al, 'A'; out dx, al; jmp $
   * const image = Uint8Array.of(0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xeb, 0xfe)
   * using vm = new VirtualMachine({ mode: 'real', serial: true, payload: { image } })
   * const { serial } = vm
   * void vm.run()
   * for await (const bytes of serial) {
   *   console.log(String(bytes)) // A
   *   break
   * }
   * ```
   */
  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<Buffer> {
    return this.iterator({ destroyOnReturn: false })
  }

  /** @internal */
  override _read(): void {
    this.#readOn?.()
    this.#readOn = undefined
    this.consider()
  }

  /** @internal */
  protected override give(bytes: Uint8Array): number {
    return this.#machine.serialInput(bytes)
  }

  /** The guest may never read; that alone keeps no process alive. @internal */
  protected override waitForRoom(): void {
    this.#retry = later(() => this.send(), retryMs).unref()
  }

  /** @internal */
  protected override leave(): void {
    this.#machine.deliverSerial(false)
    this.#readOn?.()
    clearTimeout(this.#retry)
  }

  /** Takes what the guest has sent; the promise of a reader that lags. @internal */
  receive(bytes: Uint8Array): Promise<void> | undefined {
    if (this.destroyed) return undefined
    if (!this.mayWait() && this.readableLength + bytes.length > maxOutputBytes) {
      const what = `${this.readableLength} bytes wait for the reader of vm.serial; use run(), which lets it read`
      return fail('ERR_LIMIT', what)
    }
    const takesMore = this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    this.consider()
    if (takesMore || !this.mayWait()) return undefined
    return new Promise((resolve) => (this.#readOn = resolve))
  }

  /** @internal */
  override finish(): void {
    this.#readOn?.()
    super.finish()
  }
}
