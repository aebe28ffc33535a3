// Run a number of instructions
//
// prints: instruction-limit, rax 500
//         three further: the next is jmp 0x0
//         rax 600
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync('again: inc eax; jmp again', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })

const bounded = vm.runSync({ maxInstructions: 1000 })
console.log(`${bounded.reason}, rax ${bounded.registers.rax}`)

const { hit } = vm.stepSync({ count: 3 })
console.log(`three further: the next is ${vm.disassemble(hit!.address, 1)[0]?.text}`)

const { registers } = vm.stepSync({ until: ({ rax }) => rax === 600n })
console.log(`rax ${registers.rax}`)
