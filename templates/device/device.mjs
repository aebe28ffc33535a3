// @ts-check
// A device that reaches memory by itself (DMA) and has an interrupt line.
//
//   offset 0, write  the guest physical address of a text
//   offset 2, write  how many bytes it has
//   offset 4, write  a command: 1 makes capitals of its letters
//   offset 6, read   1 if that is done, 2 if it failed, else 0; lowers the interrupt line

/** @typedef {import('vmexit').Device} Device */
/** @typedef {import('vmexit').DeviceContext} DeviceContext */

/** What the register at offset 6 says. */
const DONE = 1
const FAILED = 2

/** How long the device takes; the guest goes on meanwhile. */
const WORK_MS = 10

/** @implements {Device} */
export class Capitals {
  static port = 0x300
  static length = 8
  static line = 5

  /** @type {DeviceContext | undefined} */
  #context
  /** @type {NodeJS.Timeout | undefined} */
  #timer
  #address = 0
  #bytes = 0
  #status = 0

  /** @param {DeviceContext} context the machine that the device is now in */
  attach(context) {
    this.#context = context
  }

  /** The machine is closed, or its route is gone. */
  close() {
    clearTimeout(this.#timer)
  }

  /** @param {number} offset */
  read(offset) {
    if (offset !== 6) return 0xffff
    const status = this.#status
    this.#status = 0
    this.#context?.irq(Capitals.line).lower()
    return status
  }

  /**
   * @param {number} offset
   * @param {number} _size
   * @param {number | bigint} value
   */
  write(offset, _size, value) {
    if (offset === 0) this.#address = Number(value)
    if (offset === 2) this.#bytes = Number(value)
    if (offset === 4 && value === 1) this.#begin()
  }

  /** Returns at once. A further command takes the place of one that is not done. */
  #begin() {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#status = this.#work()
      this.#context?.irq(Capitals.line).raise()
    }, WORK_MS)
  }

  #work() {
    try {
      const memory = this.#context?.memory
      const text = Buffer.from(memory?.read(this.#address, this.#bytes) ?? [])
      memory?.write(this.#address, Buffer.from(text.toString('latin1').toUpperCase(), 'latin1'))
      return DONE
    } catch {
      // The guest says where its text is, and may lie: there need not be any memory.
      return FAILED
    }
  }
}
