// Walk the page tables
//
// prints: PML4 entry at 0xfe…: 0x…
//         PDPT entry at 0xfe…: 0x…
//         PD   entry at 0xfe…: 0x200083
//         0x201234 is gpa 0x201234, in a page of 2097152 bytes
//         with another entry it is gpa 0x1234
import { VirtualMachine, guests } from 'vmexit'

using vm = new VirtualMachine({ mode: 'long', memoryBytes: 4 << 20, payload: guests.hello })
const hex = (value: bigint | number): string => `0x${value.toString(16)}`

const address = 0x201234n
const { gpa, pageBytes, walk } = vm.virtual().translate(address)
for (const { name, gpa: at, entry } of walk) {
  console.log(`${name.padEnd(4)} entry at ${hex(at)}: ${hex(entry)}`)
}
console.log(`${hex(address)} is gpa ${hex(gpa)}, in a page of ${pageBytes} bytes`)

const last = walk.at(-1)!
vm.memory.writeUint64(Number(last.gpa), last.entry & 0xfffn) // the same rights, at gpa 0
console.log(`with another entry it is gpa ${hex(vm.virtual().translate(address).gpa)}`)
