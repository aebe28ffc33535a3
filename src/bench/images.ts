import { guests } from '../options/guest.ts'
import { VirtualMachine } from '../machine/virtual-machine.ts'

/** Where the guests read how often: a u32. */
export const countCell = 0x500

/** The port that the count guest writes to, and the address that the mmio guest writes to. */
export const benchPort = 0x200
export const benchGpa = 0x1000_0000

/** N one-byte writes to `benchGpa`, in a loop of three instructions as in the count guest. */
export const mmioImage = bytes(`
  8b 0c 25 00 05 00 00    mov ecx, [0x500]
  bb 00 00 00 10          mov ebx, 0x10000000
  88 03                   mov [rbx], al
  ff c9                   dec ecx
  75 fa                   jnz -6
  f4                      hlt
  eb fd                   jmp -3
`)

/** Halts, as often as it is entered. */
export const hltImage = bytes(`
  f4                      hlt
  eb fd                   jmp -3
`)

/** The embedded count guest's bytes: what a machine has in its memory before it runs. */
export function countImage(): Uint8Array {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.count })
  return vm.memory.read(0, 0x400)
}

/** The hexadecimal bytes at the start of each line. */
function bytes(listing: string): Uint8Array {
  const hex = listing.match(/^ +(?:[\da-f]{2} )+/gm)?.join('') ?? ''
  return Uint8Array.from(hex.match(/[\da-f]{2}/g) ?? [], (byte) => Number.parseInt(byte, 16))
}
