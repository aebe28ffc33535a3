// Print registers after each instruction
//
// prints: mov ecx, 0x2     rax 0, rcx 2
//         add eax, ecx     rax 2, rcx 2
//         loop 0x5         rax 2, rcx 1
//         add eax, ecx     rax 3, rcx 1
//         loop 0x5         rax 3, rcx 0
//         hlt
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync('mov ecx, 2; again: add eax, ecx; loop again; hlt', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })
const code = new Map(vm.disassemble(0n, 4).map(({ address, text }) => [address, text]))

let last = vm.registers().rip
using steps = vm.debug.onStep(({ address, registers }) => {
  const { rax, rcx } = registers()
  console.log(`${code.get(last)?.padEnd(16)} rax ${rax}, rcx ${rcx}`)
  last = address
})
console.log(vm.runSync({ timeoutMs: 10_000 }).reason)
steps.remove()
