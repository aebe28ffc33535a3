// Interrupt a guest every 10 ms
//
// prints: 10 ticks, in … ms
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync(
  `       mov word ptr [0x20 * 4], offset tick                      # the vector of line 0
          mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al    # PIC: vectors from 0x20 on
          mov al, 4; out 0x21, al; mov al, 1; out 0x21, al
          mov al, 0xfe; out 0x21, al                                # line 0 alone
          mov al, 0x34; out 0x43, al                                # PIT: again and again
          mov ax, 11932; out 0x40, al; mov al, ah; out 0x40, al     # after 1193182 Hz / 11932
          sti
   sleep: hlt; jmp sleep
   tick:  inc cl; cmp cl, 10; je done
          mov al, 0x20; out 0x20, al; iret                          # the PIC may send the next
   done:  mov al, cl; out 0xf4, al`,
  { bits: 16, origin: 0x7c00 },
)

using vm = new VirtualMachine({
  mode: 'real',
  irqchip: true,
  payload: { image, loadGpa: 0x7c00 },
  routes: [{ port: 0xf4, to: 'stop' }],
})
const { exitCode, durationMs } = await vm.run({ timeoutMs: 10_000 })
console.log(`${exitCode} ticks, in ${durationMs.toFixed()} ms`)
