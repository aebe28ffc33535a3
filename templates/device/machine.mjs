// @ts-check
import { readFile } from 'node:fs/promises'
import { VirtualMachine, assemble } from 'vmexit'
import { Capitals } from './device.mjs'

/** Where the guest lies. Below is the table of the processor's interrupt vectors. */
const loadGpa = 0x1000

/** A machine with the device, and what the guest does with it. Another text is another guest. */
export async function makeMachine(edit = (/** @type {string} */ text) => text) {
  const text = edit(await readFile(new URL('guest.s', import.meta.url), 'utf8'))
  return new VirtualMachine({
    mode: 'real',
    irqchip: true,
    memoryBytes: 2 ** 16,
    payload: { image: await assemble(text, { bits: 16, origin: loadGpa }), loadGpa },
    routes: [
      { port: Capitals.port, length: Capitals.length, device: new Capitals() },
      { port: 0xe9, to: 'console' },
      { port: 0xf4, to: 'stop' },
    ],
  })
}
