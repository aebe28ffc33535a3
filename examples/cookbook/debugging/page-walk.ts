// Walk the page tables
//
// prints: PML4 entry at 0xfe…: 0x…
//         PDPT entry at 0xfe…: 0x…
//         PD   entry at 0xfe…: 0x200083
//         0x201234 lies at gpa 0x201234, in a page of 2097152 bytes, writable
import { VirtualMachine, guests } from 'vmexit'

using vm = new VirtualMachine({ mode: 'long', memoryBytes: 4 << 20, payload: guests.hello })

const address = 0x201234n
const { gpa, pageBytes, writable, walk } = vm.virtual().translate(address)
for (const { name, gpa: at, entry } of walk) {
  console.log(`${name.padEnd(4)} entry at 0x${at.toString(16)}: 0x${entry.toString(16)}`)
}
const place = `gpa 0x${gpa.toString(16)}, in a page of ${pageBytes} bytes`
console.log(`0x${address.toString(16)} lies at ${place}, ${writable ? 'writable' : 'read-only'}`)
