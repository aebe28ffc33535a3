// Keep a machine in a file
//
// prints: counted to 3, saved
//         goes on with 4
import { Snapshot, VirtualMachine, assembleSync } from 'vmexit'

// Counts in AL, and tells each number to port 0x80.
const image = assembleSync('again: inc al; out 0x80, al; jmp again', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })
for (let exit = 0; exit < 3; exit++) vm.runSync({ timeoutMs: 10_000 })
using snapshot = vm.snapshot()
await snapshot.save('counter.snapshot')
console.log(`counted to ${vm.registers().rax}, saved`)
vm.close()

// In another process, perhaps, and as often as you like.
using loaded = await Snapshot.load('counter.snapshot')
using further = new VirtualMachine({ snapshot: loaded })
further.runSync({ timeoutMs: 10_000 })
console.log(`goes on with ${further.registers().rax}`)
