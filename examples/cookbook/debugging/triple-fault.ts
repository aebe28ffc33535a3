// Explain a triple fault
//
// prints: shutdown by exception 14, at push rax
//         page-not-present: 0x6ffffffffff8: the PML4 entry … is not present
//         stack-unmapped: RSP is 0x700000000000, and 0x6ffffffffff8 is not mapped (…)
//         idt-missing: IDTR has base 0x0, limit 0x0: no gate for vector 14
//         vector-pf: …
import { VirtualMachine, assembleSync } from 'vmexit'

// A stack where no page is, and no table of interrupt handlers.
const image = assembleSync('mov rsp, 0x700000000000; push rax; hlt', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })
using start = vm.snapshot()

const result = vm.runSync({ timeoutMs: 10_000 })
const { vector, instruction, findings } = result.explain({ replay: start })
console.log(`${result.reason} by exception ${vector}, at ${instruction?.text}`)
for (const { rule, found } of findings) console.log(`${rule}: ${found}`)
