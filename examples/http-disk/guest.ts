// A guest that reads sectors of its disk: 32-bit code that writes to the registers of the first
// virtio disk, and the queue of requests that it finds in memory.
import type { VirtualMachine } from 'vmexit'

/** Does steps of three words from 0x10000 on: 1 writes, 3 waits for 16 bits, 0 ends the run. */
export const image = Buffer.from(
  'be00000100ad89c1ad89c7ad83f901740e83f902740d83f903740ee6f4ebe68907ebe28b178910ebdc66390775fbebd5',
  'hex',
)

const [registers, steps] = [0xfeb0_1000, 0x1_0000]
const [table, avail, used, header, data] = [0x2_0000, 0x2_1000, 0x2_2000, 0x3_0000, 0x4_0000]

/** What a driver of Linux does, in short: it takes features, sets up one queue, and asks. */
export async function readSectors(vm: VirtualMachine, sector: number, count: number) {
  const { memory } = vm
  const describe = (index: number, gpa: number, length: number, flags: number, next: number) => {
    memory.writeUint64(table + 16 * index, BigInt(gpa))
    memory.writeUint32(table + 16 * index + 8, length)
    memory.writeUint16(table + 16 * index + 12, flags)
    memory.writeUint16(table + 16 * index + 14, next)
  }
  // A header that the device reads, data and a status that it writes.
  memory.writeUint64(header + 8, BigInt(sector))
  describe(0, header, 16, 1, 1)
  describe(1, data, count * 512, 3, 2)
  describe(2, header + 16, 1, 2, 0)
  memory.writeUint16(avail + 2, 1)
  memory.writeUint16(used + 2, 0)
  const set = (register: number, value: number) => [1, registers + register, value]
  const words = [
    // Reset, seen, known; features: VIRTIO_F_VERSION_1; accepted.
    ...[0, 1, 3].flatMap((status) => set(0x70, status)),
    ...[...set(0x24, 1), ...set(0x20, 1), ...set(0x70, 0xb)],
    ...[...set(0x30, 0), ...set(0x38, 8)],
    ...[...set(0x80, table), ...set(0x90, avail), ...set(0xa0, used), ...set(0x44, 1)],
    // Ready; here is a request; wait for its end.
    ...[...set(0x70, 0xf), ...set(0x50, 0)],
    ...[3, used + 2, 1],
    ...[0, 0, 0],
  ]
  memory.write(steps, new Uint8Array(Uint32Array.from(words).buffer))
  vm.setRegisters({ rip: 0n })
  await vm.run({ timeoutMs: 10_000 })
  return { status: memory.readUint8(header + 16), bytes: memory.read(data, count * 512) }
}
