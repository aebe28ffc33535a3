// @ts-check
import { readFileSync } from 'node:fs'
import { VirtualMachine } from 'vmexit'
import { build } from './build.mjs'

/** Compiles the kernel and loads it into a PC, as a boot loader does. */
export function makeMachine() {
  return new VirtualMachine({
    mode: 'protected',
    pc: true,
    memoryBytes: 2 ** 24,
    screen: 'text',
    payload: { image: readFileSync(build()), format: 'multiboot' },
  })
}
