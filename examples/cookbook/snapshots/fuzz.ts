// Fuzz a function, with resets
//
// prints: input 71 (7f2253d7…) ends with #GP at RIP 0x9
//         9 crashes in 2000 inputs, … inputs a second
import { createHash } from 'node:crypto'
import { VirtualMachine, assembleSync } from 'vmexit'

// Records of kind 0x7f have an address, which it forgets to check.
const image = assembleSync(
  `     cmp byte ptr [rsi], 0x7f; jne end
        mov rax, [rsi + 8]; inc byte ptr [rax]
  end:  hlt`,
  { bits: 64 },
)
using vm = new VirtualMachine({ mode: 'long', faults: 'report', payload: { image } })
vm.setRegisters({ rsi: 0x8000n })
using start = vm.snapshot()

let crashes = 0
const began = performance.now()
for (let turn = 0; turn < 2000; turn++) {
  const input = createHash('sha256').update(`${turn}`).digest() // random, and the same each time
  vm.memory.write(0x8000, input)
  const { fault, where } = vm.runSync({ timeoutMs: 10_000 })
  if (fault && crashes++ === 0) {
    const bytes = input.toString('hex', 0, 4)
    console.log(
      `input ${turn} (${bytes}…) ends with ${fault.name} at RIP 0x${where?.rip.toString(16)}`,
    )
  }
  vm.restore(start)
}
const rate = (2000 / (performance.now() - began)) * 1000
console.log(`${crashes} crashes in 2000 inputs, ${rate.toFixed()} inputs a second`)
