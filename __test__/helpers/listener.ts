import type { VirtualMachine } from '../../src/index.ts'

/** What a machine says on its serial port, and who waits for a part of it. */
export class Listener {
  heard = ''
  #wake: () => void = () => undefined

  constructor(vm: VirtualMachine) {
    vm.serial.on('data', (bytes: Buffer) => {
      this.heard += bytes.toString()
      this.#wake()
    })
  }

  async until(text: string): Promise<void> {
    while (!this.heard.includes(text)) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}
