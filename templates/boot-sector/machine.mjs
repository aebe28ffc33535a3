// @ts-check
import { readFile } from 'node:fs/promises'
import { VirtualMachine, assemble } from 'vmexit'

/** Where a BIOS loads a boot sector. */
const loadGpa = 0x7c00

/** The boot sector's bytes. A mistake in `boot.s` is an error with its line. */
export async function assembleSector() {
  const text = await readFile(new URL('boot.s', import.meta.url), 'utf8')
  return assemble(text, { bits: 16, origin: loadGpa })
}

/** A PC with a screen of text and a keyboard, right before the boot sector's first instruction. */
export async function makeMachine() {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    memoryBytes: 2 ** 20,
    screen: 'text',
    payload: { image: await assembleSector(), loadGpa },
  })
}
