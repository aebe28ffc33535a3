// Stop at a breakpoint, and go on
//
// prints: here with rcx 3
//         here with rcx 2
//         breakpoint at 5
//         hlt, rax 4
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync('mov ecx, 3; again: add eax, ecx; loop again; hlt', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })

using again = vm.debug.breakpoint(5n, ({ registers }) => {
  const { rcx } = registers()
  console.log(`here with rcx ${rcx}`)
  return rcx === 2n ? 'stop' : undefined // without 'stop' the guest goes on
})
const { reason, hit } = vm.runSync({ timeoutMs: 10_000 })
console.log(`${reason} at ${hit?.address}`)

again.remove()
vm.setRegisters({ rcx: 1n })
const { reason: end, registers } = vm.runSync({ timeoutMs: 10_000 })
console.log(`${end}, rax ${registers.rax}`)
