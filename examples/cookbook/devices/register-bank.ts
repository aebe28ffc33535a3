// Put a bank of registers into memory
//
// prints: register 1 = 7
//         register 2 = 49
//         register 0 = 1
//         0x6b6e6162, 7, 49, 0
import { type Device, VirtualMachine, assembleSync } from 'vmexit'

/** Four registers of 32 bits. The first says what the device is, and cannot be written. */
class Bank implements Device {
  readonly registers = Uint32Array.of(0x6b6e6162, 0, 0, 0)
  read = (offset: number): number => this.registers[offset >> 2]!
  write(offset: number, _size: number, value: number | bigint): void {
    console.log(`register ${offset >> 2} = ${value}`)
    if (offset >= 4) this.registers[offset >> 2] = Number(value)
  }
}

const image = assembleSync(
  `mov rdi, 0x10000000
   mov dword ptr [rdi + 4], 7
   mov eax, [rdi + 4]; imul eax, eax; mov [rdi + 8], eax
   mov dword ptr [rdi], 1; hlt`,
  { bits: 64 },
)
const device = new Bank()
const routes = [{ gpa: 0x1000_0000, length: 16, device }]
using vm = new VirtualMachine({ mode: 'long', payload: { image }, routes })
vm.runSync({ timeoutMs: 10_000 })
const [id, ...others] = device.registers
console.log(`0x${id!.toString(16)}, ${others.join(', ')}`)
