// A guest of a few instructions with a network card. A real one has an operating system with
// virtio's drivers: here the host itself writes the rings into the guest's memory, and a list of
// register writes that the guest does first.
import type { Duplex } from 'node:stream'

import { VirtualMachine } from 'vmexit'

/** The card's registers: the first device of a PC is the entropy device. */
const card = 0xfeb0_1000

/** The list, two queues of three parts, two buffers, and the guest's own address. */
const list = 0x2_0000
const queues = [0x3_0000, 0x3_4000] as const
const [avail, used] = [0x1000, 0x2000]
const [received, sent] = [0x6_0000, 0x6_2000]
const own = 0x5_0000
const [asks, ready] = [own + 6, own + 8]

/** Bytes before a frame, and of a frame here. */
const [headerBytes, frameBytes] = [12, 60]

// prettier-ignore
const image = Uint8Array.of(
  0xbe, 0x00, 0x00, 0x02, 0x00,              // 00  mov esi, list
  0xad,                                      // 05  lodsd
  0x85, 0xc0,                                // 06  test eax, eax
  0x74, 0x07,                                // 08  jz 11
  0x89, 0xc7,                                // 0a  mov edi, eax
  0xad,                                      // 0c  lodsd
  0x89, 0x07,                                // 0d  mov [edi], eax
  0xeb, 0xf4,                                // 0f  jmp 05
  0x31, 0xdb,                                // 11  xor ebx, ebx
  0xf3, 0x90,                                // 13  pause
  0x66, 0x3b, 0x1d, 0x02, 0x20, 0x03, 0x00,  // 15  cmp bx, [0x32002]      until one is received
  0x74, 0xf5,                                // 1c  je 13
  0x43,                                      // 1e  inc ebx
  0xa0, 0x11, 0x00, 0x06, 0x00,              // 1f  mov al, [0x60011]      is it for this guest?
  0x3a, 0x05, 0x05, 0x00, 0x05, 0x00,        // 24  cmp al, [0x50005]
  0x75, 0x4a,                                // 2a  jne 76
  0x80, 0x3d, 0x06, 0x00, 0x05, 0x00, 0x00,  // 2c  cmp byte [0x50006], 0  is it the answer?
  0x74, 0x02,                                // 33  je 37
  0xe6, 0xf4,                                // 35  out 0xf4, al
  0xbe, 0x12, 0x00, 0x06, 0x00,              // 37  mov esi, 0x60012       back to its sender
  0xbf, 0x0c, 0x00, 0x06, 0x00,              // 3c  mov edi, 0x6000c
  0xb9, 0x06, 0x00, 0x00, 0x00,              // 41  mov ecx, 6
  0xf3, 0xa4,                                // 46  rep movsb
  0xbe, 0x00, 0x00, 0x05, 0x00,              // 48  mov esi, own
  0xb9, 0x06, 0x00, 0x00, 0x00,              // 4d  mov ecx, 6
  0xf3, 0xa4,                                // 52  rep movsb
  0x66, 0xff, 0x05, 0x02, 0x50, 0x03, 0x00,  // 54  inc word [0x35002]
  0xc7, 0x05, 0x50, 0x10, 0xb0, 0xfe,        // 5b  mov dword [card + 0x50], 1
  0x01, 0x00, 0x00, 0x00,
  0xf3, 0x90,                                // 65  pause
  0x66, 0xa1, 0x02, 0x60, 0x03, 0x00,        // 67  mov ax, [0x36002]      until it is sent
  0x66, 0x3b, 0x05, 0x02, 0x50, 0x03, 0x00,  // 6d  cmp ax, [0x35002]
  0x75, 0xef,                                // 74  jne 65
  0x66, 0xff, 0x05, 0x02, 0x10, 0x03, 0x00,  // 76  inc word [0x31002]     room for the next one
  0xc7, 0x05, 0x50, 0x10, 0xb0, 0xfe,        // 7d  mov dword [card + 0x50], 0
  0x00, 0x00, 0x00, 0x00,
  0xeb, 0x8a,                                // 87  jmp 13
)

/** Answers each frame for it; with `asked` it sends one to that machine, and waits. */
export function answeringMachine(number: number, frames: Duplex, asked?: number): VirtualMachine {
  const vm = new VirtualMachine({
    pc: true,
    mode: 'protected',
    memoryBytes: 2 ** 21,
    payload: { image, loadGpa: 0x1_0000 },
    routes: [{ port: 0xf4, to: 'stop' }],
    network: [{ frames, mac: `02:00:00:00:00:0${number}` }],
  })
  const { memory } = vm
  memory.write(own, Uint8Array.of(2, 0, 0, 0, 0, number))
  memory.writeUint8(asks, asked === undefined ? 0 : 1)
  // It receives into one buffer, and answers from there.
  describe(queues[0], received, 2048, 2)
  describe(queues[1], asked === undefined ? received : sent, headerBytes + frameBytes, 0)
  memory.writeUint16(queues[0] + avail + 2, 1)
  if (asked !== undefined) {
    const addresses = [2, 0, 0, 0, 0, asked, 2, 0, 0, 0, 0, number]
    memory.write(sent + headerBytes, Uint8Array.from([...addresses, 0x88, 0xb5]))
    memory.writeUint16(queues[1] + avail + 2, 1)
  }
  const settings = queues.flatMap((at, index) => [
    ...[
      [0x30, index],
      [0x38, 4],
      [0x80, at],
      [0x90, at + avail],
      [0xa0, at + used],
      [0x44, 1],
    ],
  ])
  // Reset, acknowledge, driver; version 1 of the standard; features, queues, ready; both doorbells.
  const status = [
    [0x70, 0],
    [0x70, 1],
    [0x70, 3],
    [0x24, 1],
    [0x20, 1],
    [0x70, 11],
  ]
  const registers = [...status, ...settings, [0x70, 15], [0x50, 0], [0x50, 1]]
  const writes = registers.map(([register, value]) => [card + register!, value!])
  for (const [index, [gpa, value]] of [...writes, [ready, 1]].entries()) {
    memory.writeUint32(list + index * 8, gpa!)
    memory.writeUint32(list + index * 8 + 4, value!)
  }
  return vm

  function describe(table: number, gpa: number, bytes: number, flags: number): void {
    memory.writeUint64(table, BigInt(gpa))
    memory.writeUint32(table + 8, bytes)
    memory.writeUint16(table + 12, flags)
  }
}

/** Whether the guest has told its card that it is there: a frame before that is lost. */
export function isReady(vm: VirtualMachine): boolean {
  return vm.memory.readUint8(ready) === 1
}
