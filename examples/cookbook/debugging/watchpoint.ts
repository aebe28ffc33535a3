// Find out who writes to a variable
//
// prints: 0 → 1 by 0x0: inc dword ptr [0x900]
//         1 → 0 by 0x21: mov qword ptr [rdi+0x10], 0x0
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync(
  `        inc dword ptr [0x900]
           mov edi, 0x8f0; call clear; hlt
    clear: mov qword ptr [rdi], 0; mov qword ptr [rdi + 8], 0
           mov qword ptr [rdi + 16], 0               # more than it should
           ret`,
  { bits: 64 },
)
using vm = new VirtualMachine({ mode: 'long', payload: { image } })
const code = vm.disassemble(0n, 8)

using watch = vm.debug.watch(0x900n, { size: 4, on: 'write' }, ({ registers, before, after }) => {
  const { rip } = registers() // after the instruction
  const by = code.find(({ address, bytes }) => address + BigInt(bytes.length) === rip)
  console.log(`${before?.[0]} → ${after?.[0]} by 0x${by?.address.toString(16)}: ${by?.text}`)
})
vm.runSync({ timeoutMs: 10_000 })
watch.remove()
