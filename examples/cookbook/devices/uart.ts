// Write a UART
//
// prints: the guest says: HELLO
import { type Device, VirtualMachine, assembleSync } from 'vmexit'

/** The part of a 16550 that a polling driver uses. */
class Uart implements Device {
  input = [...Buffer.from('hello\n')]
  output = ''
  read(offset: number): number {
    if (offset === 5) return 0x20 | Number(this.input.length > 0) // LSR: THR empty, data ready
    return offset === 0 ? (this.input.shift() ?? 0) : 0
  }
  write(offset: number, _size: number, value: number | bigint): void {
    if (offset === 0) this.output += String.fromCharCode(Number(value))
  }
}

const image = assembleSync(
  `poll: mov dx, 0x3fd; in al, dx; test al, 1; jz poll   # until a byte is there
         mov dx, 0x3f8; in al, dx; cmp al, 10; je end
         and al, 0xdf; out dx, al; jmp poll              # in upper case
   end:  hlt`,
  { bits: 16 },
)
const uart = new Uart()
const routes = [{ port: 0x3f8, length: 8, device: uart }]
using vm = new VirtualMachine({ mode: 'real', payload: { image }, routes })
vm.runSync({ timeoutMs: 10_000 })
console.log(`the guest says: ${uart.output}`)
