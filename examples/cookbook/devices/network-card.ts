// Write a network card with DMA
//
// prints: the driver got 4 bytes: ping
import { type DeviceContext, VirtualMachine, assembleSync } from 'vmexit'

/** Port 0x300: where the next frame goes. Port 0x304: how long the frame is. */
class Card {
  #context!: DeviceContext
  #length = 0
  attach = (context: DeviceContext): void => void (this.#context = context)
  read = (): number => this.#length
  write(_offset: number, _size: number, gpa: number | bigint): void {
    setTimeout(() => this.receive(Number(gpa), Buffer.from('ping')), 20)
  }
  receive(gpa: number, frame: Uint8Array): void {
    this.#context.memory.write(gpa, frame)
    this.#length = frame.length
    this.#context.irq(5).pulse()
  }
}
const driver = `mov word ptr [0x25 * 4], offset received          # the vector of line 5
  mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al          # PIC: vectors from 0x20 on
  mov al, 4; out 0x21, al; mov al, 1; out 0x21, al; mov al, 0xdf; out 0x21, al   # line 5 alone
  mov dx, 0x300; mov eax, 0x9000; out dx, eax; sti; hlt           # give a buffer, and sleep
  received: mov dx, 0x304; in eax, dx; out 0xf4, eax`
const payload = { image: assembleSync(driver, { bits: 16, origin: 0x7c00 }), loadGpa: 0x7c00 }
const routes = [
  { port: 0x300, length: 8, device: new Card() },
  { port: 0xf4, to: 'stop' },
] as const
using vm = new VirtualMachine({ mode: 'real', irqchip: true, payload, routes })
const { exitCode } = await vm.run({ timeoutMs: 10_000 })
console.log(`the driver got ${exitCode} bytes: ${Buffer.from(vm.memory.read(0x9000, exitCode!))}`)
