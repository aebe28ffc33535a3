import type { Device, DeviceContext } from '../options/device.ts'
import type { Handlers } from '../options/routes.ts'
import { raise } from '../native/errors.ts'

/** The devices of one machine, each once, however many routes it has. */
export class Devices {
  readonly #attached: Device[] = []

  /** Attaches them in the order of their routes. */
  attach(handlers: readonly Handlers[], context: DeviceContext): void {
    const devices = new Set(handlers.flatMap(({ device }) => (device ? [device] : [])))
    for (const device of devices) {
      device.attach?.(context)
      this.#attached.push(device)
    }
  }

  /** Tells them that the machine is closed, the last one first; the first error is thrown once all have heard. */
  close(): void {
    const errors: unknown[] = []
    for (const device of this.#attached.splice(0).toReversed()) {
      try {
        device.close?.()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) raise(errors[0])
  }
}
