// Interrupt a guest when a promise settles
//
// prints: the guest got 42, and had counted meanwhile: true
import { setTimeout as sleep } from 'node:timers/promises'
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync(
  `      mov word ptr [0x40 * 4], offset done   # the vector that the device will send
         out 0x60, al; sti
   work: inc ecx; jmp work                      # goes on meanwhile
   done: in al, 0x60; hlt`,
  { bits: 16, origin: 0x7c00 },
)
let answer = 0
async function ask(): Promise<void> {
  answer = await sleep(20, 42) // or fetch, or a file
  vm.interrupt(0x40)
}
const device = { write: () => void ask(), read: () => answer }
using vm = new VirtualMachine({
  mode: 'real',
  payload: { image, loadGpa: 0x7c00 },
  routes: [{ port: 0x60, device }],
})
const { registers } = await vm.run({ timeoutMs: 10_000 })
const { rax, rcx } = registers
console.log(`the guest got ${rax & 0xffn}, and had counted meanwhile: ${rcx > 0n}`)
