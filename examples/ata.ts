// A disk that JavaScript is, behind the ports of a PC's first ATA channel. Without arguments a boot
// sector reads a sector of it; with a BIOS and an image, whatever is on that image boots.
//
//   node --import @oxc-node/core/register examples/ata.ts
//   node --import @oxc-node/core/register examples/ata.ts /usr/share/seabios/bios.bin disk.img
//
// prints: this sector took 20 ms to come
//         1 read, of 512 bytes
import { open, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { VirtualMachine } from 'vmexit'

import { AtaDisk, type Storage } from './devices/ata-disk.ts'

const [bios, image] = process.argv.slice(2)
await (bios !== undefined && image !== undefined ? bootImage(bios, image) : readSector())

/** Reads sector 1 to 0x8000, and prints it up to its first zero. */
async function readSector(): Promise<void> {
  // prettier-ignore
  const sector = Uint8Array.of(
    0xba, 0xf2, 0x01,       // mov dx, 0x1f2
    0xb0, 0x01,             // mov al, 1
    0xee, 0x42, 0xee,       // out dx, al; inc dx; out dx, al     one sector, from number 1 on
    0x42, 0x30, 0xc0,       // inc dx; xor al, al
    0xee, 0x42, 0xee,       // out dx, al; inc dx; out dx, al
    0x42, 0xb0, 0xe0, 0xee, // inc dx; mov al, 0xe0; out dx, al   drive 0, by number
    0x42, 0xb0, 0x20, 0xee, // inc dx; mov al, 0x20; out dx, al   READ SECTORS
    0xba, 0xf0, 0x01,       // mov dx, 0x1f0
    0xbf, 0x00, 0x80,       // mov di, 0x8000
    0x89, 0xfe,             // mov si, di
    0xb9, 0x00, 0x01,       // mov cx, 256
    0xf3, 0x6d,             // rep insw
    0xac,                   // next: lodsb
    0x84, 0xc0, 0x74, 0x04, // test al, al; jz end
    0xe6, 0xe9, 0xeb, 0xf7, // out 0xe9, al; jmp next
    0xe6, 0xf4,             // end: out 0xf4, al
  )
  const text = Buffer.from('this sector took 20 ms to come\n')
  const reads: number[] = []
  const disk = new AtaDisk({
    bytes: 1024 * 1024,
    async read(offset, into) {
      await sleep(20)
      reads.push(into.length)
      if (offset === 512) into.set(text)
    },
  })
  using vm = new VirtualMachine({
    mode: 'real',
    irqchip: true,
    payload: { image: sector, loadGpa: 0x7c00 },
    routes: [
      { port: 0xe9, to: 'console', onData: (bytes) => process.stdout.write(bytes) },
      { port: 0xf4, to: 'stop' },
      ...disk.routes(),
    ],
  })
  await vm.run({ timeoutMs: 10_000 })
  console.log(`${reads.length} read, of ${reads[0]} bytes`)
}

/** The serial port is the terminal. */
async function bootImage(biosPath: string, path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const storage: Storage = {
    bytes: size - (size % 512),
    read: (offset, into) => file.read(into, 0, into.length, offset),
    write: (offset, bytes) => file.write(bytes, 0, bytes.length, offset),
    flush: () => file.datasync(),
  }
  using vm = new VirtualMachine({
    pc: true,
    memoryBytes: 256 * 1024 * 1024,
    payload: { image: await readFile(biosPath), format: 'firmware' },
    routes: new AtaDisk(storage).routes(),
  })
  process.stdin.pipe(vm.serial).pipe(process.stdout)
  console.log(`\n${(await vm.run()).reason}`)
}
