// Answer keys in a boot sector
//
// prints: hello
//         stopped
import { VirtualMachine, assembleSync } from 'vmexit'

const image = assembleSync(
  `       mov ax, 0xb800; mov es, ax; xor di, di   # ES:DI is where the next letter goes
          mov bx, offset letters - 0x10
   next:  in al, 0x64; test al, 1; jz next         # until the controller has a code
          in al, 0x60; test al, al; js next        # a key that was let go
          xlat; mov ah, 0x1f; stosw; jmp next      # its letter, white on blue
   letters: .ascii "qwertyuiop    asdfghjkl     zxcvbnm"`,
  { bits: 16, origin: 0x7c00 },
)

using vm = new VirtualMachine({
  mode: 'real',
  pc: true,
  screen: 'text',
  payload: { image, loadGpa: 0x7c00 },
})
const run = vm.run({ timeoutMs: 10_000 })
await vm.keyboard.type('hello')
await vm.screen!.waitFor('hello')
console.log(vm.screen!.text()[0]!.trimEnd())
vm.stop()
console.log((await run).reason)
