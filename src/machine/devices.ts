import type { Device, DeviceContext } from '../options/device.ts'
import { raise } from '../native/errors.ts'

/** The devices of one machine, each once, however many routes it has. */
export class Devices {
  /** With how many routes each has. */
  readonly #attached = new Map<Device, number>()

  /** A route of this device's is there. */
  attach(device: Device, context: DeviceContext): void {
    const routes = this.#attached.get(device)
    if (routes === undefined) device.attach?.(context)
    this.#attached.set(device, (routes ?? 0) + 1)
  }

  /** One of its routes is gone; with its last the device is told. */
  detach(device: Device): void {
    const routes = this.#attached.get(device) ?? 0
    if (routes > 1) this.#attached.set(device, routes - 1)
    else if (this.#attached.delete(device)) device.close?.()
  }

  /** Tells them that the machine is closed, the last one first; the first error is thrown once all have heard. */
  close(): void {
    const errors: unknown[] = []
    const devices = [...this.#attached.keys()].toReversed()
    this.#attached.clear()
    for (const device of devices) {
      try {
        device.close?.()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) raise(errors[0])
  }
}
