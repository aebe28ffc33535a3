// Save what a guest draws as a PNG file
//
// prints: 256 by 200 pixels; red, green and blue in the middle are 128,100,64
import { writeFileSync } from 'node:fs'
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync(
  `       mov edi, 0xf0000000; xor edx, edx    # where the pixels are, and y
   row:   xor ecx, ecx                         # x
   pixel: mov eax, ecx; shl eax, 8; or eax, edx; shl eax, 8; mov al, 64
          stosd                                # red is x, green is y, blue is 64
          inc ecx; cmp ecx, 256; jb pixel
          inc edx; cmp edx, 200; jb row
          out 0xf4, al`,
  { bits: 32 },
)
using vm = new VirtualMachine({
  mode: 'protected',
  pc: true,
  screen: { width: 256, height: 200 },
  payload: { image },
  routes: [{ port: 0xf4, to: 'stop' }],
})
await vm.run({ timeoutMs: 10_000 })

const screen = vm.screen!
writeFileSync('picture.png', screen.png())
const middle = screen
  .pixels()
  .subarray((100 * 256 + 128) * 4)
  .subarray(0, 3)
console.log(`256 by 200 pixels; red, green and blue in the middle are ${middle.join()}`)
