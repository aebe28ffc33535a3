import type { VirtualMachine, VirtualMachineOptions } from '../../src/index.ts'

/**
 * 32-bit code that takes steps of three words from 0x10000 on, what to do, an address and a value:
 * 1 writes, 2 reads to the value's address, 3 waits for 16 bits, anything else stops.
 */
const driver = Buffer.from(
  'be00000100ad89c1ad89c7ad83f901740e83f902740d83f903740ee6f4ebe68907ebe28b178910ebdc66390775fbebd5',
  'hex',
)

const stepsAt = 0x1_0000
const [table, avail, used] = [0x2_0000, 0x2_1000, 0x2_2000]
const size = 256

/** Free memory for buffers, a request after the other. */
const headersAt = 0x3_0000
const buffersAt = 0x10_0000

/** Options of a PC whose guest drives virtio devices. */
export const driven = {
  mode: 'protected',
  memoryBytes: 64 << 20,
  pc: true,
  payload: { image: driver },
  routes: [{ port: 0xf4, to: 'stop' }],
} satisfies VirtualMachineOptions

/** A request of a disk's, and what came of it. */
export interface Asked {
  readonly kind: 'read' | 'write' | 'flush'
  readonly sector?: number
  /** Of a read; of a write its bytes. */
  readonly bytes?: number | Uint8Array
}

/** What came of it. */
export interface Told {
  readonly status: number
  readonly bytes: Uint8Array
}

const kinds = { read: 0, write: 1, flush: 4 }
const [next, write] = [1, 2]

/** The disk of a machine, as a driver in its guest sees it. */
export class DrivenDisk {
  readonly #vm: VirtualMachine
  readonly #base: number
  readonly #features: number
  #asked: number

  /** `device` counts virtio devices; the entropy device is 0. A disk that is read has no flush. */
  constructor(vm: VirtualMachine, { device = 1, asked = 0, flushes = true } = {}) {
    this.#vm = vm
    this.#base = 0xfeb0_0000 + device * 0x1000
    this.#features = flushes ? 1 << 9 : 0
    this.#asked = asked
  }

  /** How many requests there were. */
  get asked(): number {
    return this.#asked
  }

  /** Puts requests into the ring, at most 80, and the steps that wait for all of them. */
  prepare(requests: readonly Asked[], wait = requests.length): number[] {
    const { memory } = this.#vm
    const places: number[] = []
    let buffer = buffersAt
    for (const [index, { kind, sector = 0, bytes = 0 }] of requests.entries()) {
      const header = headersAt + index * 32
      memory.write(header, Buffer.alloc(17, 0xee))
      memory.writeUint32(header, kinds[kind])
      memory.writeUint32(header + 4, 0)
      memory.writeUint64(header + 8, BigInt(sector))
      const length = typeof bytes === 'number' ? bytes : bytes.length
      if (typeof bytes !== 'number') memory.write(buffer, bytes)
      const first = index * 3
      this.#describe(first, header, 16, next, length > 0 ? first + 1 : first + 2)
      this.#describe(first + 1, buffer, length, kind === 'read' ? next | write : next, first + 2)
      this.#describe(first + 2, header + 16, 1, write, 0)
      memory.writeUint16(avail + 4 + 2 * ((this.#asked + index) % size), first)
      places.push(buffer)
      buffer += length
    }
    const isFirst = this.#asked === 0
    this.#asked += requests.length
    memory.writeUint16(avail + 2, this.#asked & 0xffff)
    const until = (this.#asked - requests.length + wait) & 0xffff
    const { step } = this
    const steps = [
      ...(isFirst ? this.#start() : []),
      ...step(1, 0x50, 0),
      ...(wait > 0 ? [3, used + 2, until] : []),
      ...[0, 0, 1],
    ]
    this.#begin(steps)
    return places
  }

  /** The guest waits until so many requests were answered. */
  waitFor(used16: number): void {
    this.#begin([3, used + 2, used16, 0, 0, 1])
  }

  #begin(steps: readonly number[]): void {
    this.#vm.memory.write(stepsAt, new Uint8Array(Uint32Array.from(steps).buffer))
    this.#vm.setRegisters({ rip: 0n })
  }

  /** Runs requests to their end. */
  async ask(...requests: readonly Asked[]): Promise<Told[]> {
    const places = this.prepare(requests)
    await this.#vm.run()
    return this.told(requests, places)
  }

  /** What came of them. */
  told(requests: readonly Asked[], places: readonly number[]): Told[] {
    const { memory } = this.#vm
    return requests.map(({ kind, bytes = 0 }, index) => ({
      status: memory.readUint8(headersAt + index * 32 + 16),
      bytes: memory.read(places[index]!, kind === 'read' ? (bytes as number) : 0),
    }))
  }

  readonly step = (what: number, register: number, value: number): number[] => [
    what,
    this.#base + register,
    value,
  ]

  #start(): number[] {
    const set = (register: number, value: number) => this.step(1, register, value)
    const place = (register: number, gpa: number) => [
      ...set(register, gpa),
      ...set(register + 4, 0),
    ]
    return [
      ...[0, 1, 3].flatMap((status) => set(0x70, status)),
      ...set(0x24, 0),
      ...set(0x20, this.#features),
      ...set(0x24, 1),
      ...set(0x20, 1),
      ...set(0x70, 0xb),
      ...set(0x30, 0),
      ...set(0x38, size),
      ...place(0x80, table),
      ...place(0x90, avail),
      ...place(0xa0, used),
      ...set(0x44, 1),
      ...set(0x70, 0xf),
    ]
  }

  #describe(index: number, gpa: number, length: number, flags: number, follows: number): void {
    const { memory } = this.#vm
    memory.writeUint64(table + 16 * index, BigInt(gpa))
    memory.writeUint32(table + 16 * index + 8, length)
    memory.writeUint16(table + 16 * index + 12, flags)
    memory.writeUint16(table + 16 * index + 14, follows)
  }
}
