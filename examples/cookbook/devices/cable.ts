// Connect two guests by a serial cable
//
// prints: one sends 20
//         two answers 42
//         one has 42
import { VirtualMachine, assembleSync } from 'vmexit'

// Waits for a byte and reads it into AL, or sends the one in AL.
const get = 'mov dx, 0x3fd; 1: in al, dx; test al, 1; jz 1b; mov dx, 0x3f8; in al, dx'
const put = 'mov dx, 0x3f8; out dx, al'

function guest(code: string): VirtualMachine {
  const payload = { image: assembleSync(code, { bits: 32 }) }
  return new VirtualMachine({ mode: 'protected', serial: true, payload })
}
using one = guest(`mov al, 20; ${put}; ${get}; hlt`)
using two = guest(`${get}; add al, al; add al, 2; ${put}; hlt`)

one.serial.pipe(two.serial).pipe(one.serial)
one.serial.on('data', ([byte]) => console.log(`one sends ${byte}`))
two.serial.on('data', ([byte]) => console.log(`two answers ${byte}`))
const [end] = await Promise.all([one, two].map((vm) => vm.run({ timeoutMs: 10_000 })))
console.log(`one has ${end!.registers.rax & 0xffn}`)
