// A device in TypeScript: a counter with a command and a data register.
//
//   node --import @oxc-node/core/register examples/device.ts
//
// prints: the guest read 3, then 0
import { type Device, VirtualMachine } from 'vmexit'

/** Offset 0, write: 1 counts up, 0 clears. Offset 1, read: the count. */
class Counter implements Device {
  #count = 0

  read(offset: number): number {
    return offset === 1 ? this.#count : 0xff
  }

  write(offset: number, _size: number, value: number | bigint): void {
    if (offset === 0) this.#count = value === 1 ? this.#count + 1 : 0
  }
}

// prettier-ignore
const image = Uint8Array.of(
  0xb0, 0x01,       //  0  mov al, 1
  0xe6, 0x40,       //  2  out 0x40, al
  0xe6, 0x40,       //  4  out 0x40, al
  0xe6, 0x40,       //  6  out 0x40, al
  0xe4, 0x41,       //  8  in al, 0x41
  0x88, 0xc3,       //  a  mov bl, al
  0x30, 0xc0,       //  c  xor al, al
  0xe6, 0x40,       //  e  out 0x40, al
  0xe4, 0x41,       // 10  in al, 0x41
  0xf4,             // 12  hlt
)

using vm = new VirtualMachine({
  mode: 'real',
  payload: { image },
  routes: [{ port: 0x40, length: 2, device: new Counter() }],
})
await vm.run({ timeoutMs: 10_000 })

const { rax, rbx } = vm.registers()
console.log(`the guest read ${rbx}, then ${rax}`)
