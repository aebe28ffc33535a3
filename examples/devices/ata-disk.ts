import type { Device, DeviceContext, Route } from 'vmexit'

/** Where the bytes are: any storage that JavaScript reaches. */
export interface Storage {
  /** A multiple of 512. */
  bytes: number
  read(offset: number, into: Uint8Array): unknown
  write?(offset: number, bytes: Uint8Array): unknown
  flush?(): unknown
}

const sectorBytes = 512

/** Sectors that are fetched at once. */
const batchSectors = 256

// Status and error (ATA8-ACS §6.2, §7.13).
const [bad, dataRequest, seekComplete, ready] = [0x01, 0x08, 0x10, 0x40]
const [aborted, notFound, uncorrectable] = [0x04, 0x10, 0x40]

// Device control.
const [noInterrupt, reset, highOrder] = [0x02, 0x04, 0x80]

const secondDrive = 0x10
const byLba = 0x40

/** Sectors on a track, and tracks of a cylinder, for those who count so. */
const [trackSectors, heads] = [63, 16]

/**
 * The first drive of a PC's first ATA channel: ports 0x1f0 to 0x1f7 and 0x3f6, line 14, without
 * DMA. Each command is done when its write returns: the vCPU waits for the storage.
 */
export class AtaDisk implements Device {
  readonly #storage: Storage
  #context: DeviceContext | undefined
  /** Registers 1 to 5 with what was in them before, which 48-bit commands take for high bytes. */
  readonly #registers = new Uint8Array(6)
  readonly #before = new Uint8Array(6)
  #drive = 0
  #control = 0
  #status = ready | seekComplete
  #error = 0x01
  /** What the data register gives or takes: whole sectors. */
  #buffer: Uint8Array = new Uint8Array(0)
  #at = 0
  /** Sectors after those of the buffer, and where they begin. */
  #left = 0
  #next = 0
  #writes = false

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** What answers its ports. */
  routes(): Route[] {
    const control: Device = {
      read: () => this.#shownStatus(),
      write: (_offset, _size, value) => this.#setControl(Number(value)),
    }
    return [
      { port: 0x1f0, length: 8, device: this },
      { port: 0x3f6, device: control },
    ]
  }

  attach(context: DeviceContext): void {
    this.#context = context
  }

  read(offset: number, size: number): number | Promise<number> {
    switch (offset) {
      case 0:
        return this.#readData(size)
      case 1:
        return this.#error
      case 6:
        return this.#drive
      case 7:
        return this.#shownStatus()
      default: {
        const registers = (this.#control & highOrder) === 0 ? this.#registers : this.#before
        return registers[offset]!
      }
    }
  }

  write(offset: number, size: number, value: number | bigint): unknown {
    const byte = Number(value) & 0xff
    // Either write clears it.
    if (offset > 0) this.#control &= ~highOrder
    switch (offset) {
      case 0:
        return this.#writeData(size, Number(value))
      case 6:
        this.#drive = byte
        return undefined
      case 7:
        return this.#command(byte)
      default:
        this.#before[offset] = this.#registers[offset]!
        this.#registers[offset] = byte
        return undefined
    }
  }

  /** There is no second drive. */
  #shownStatus(): number {
    return (this.#drive & secondDrive) === 0 ? this.#status : 0
  }

  #setControl(value: number): void {
    if ((value & reset) !== 0) {
      this.#registers.fill(0)
      ;[this.#registers[2], this.#registers[3]] = [1, 1]
      this.#drive = 0
      this.#finish(0x01)
      this.#status = ready | seekComplete
    }
    this.#control = value
  }

  async #command(command: number): Promise<void> {
    if ((this.#drive & secondDrive) !== 0) return
    this.#finish(0)
    const wide = [0x24, 0x34, 0x42, 0xea].includes(command)
    switch (command) {
      case 0x20: // READ SECTORS, and EXT
      case 0x21:
      case 0x24:
      case 0x30: // WRITE SECTORS, and EXT
      case 0x31:
      case 0x34:
        this.#writes = command >= 0x30
        if (!this.#locate(wide)) break
        await this.#advance()
        break
      case 0x40: // READ VERIFY, and EXT
      case 0x42:
        this.#locate(wide)
        break
      case 0xe7: // FLUSH CACHE, and EXT
      case 0xea:
        await this.#attempt(() => this.#storage.flush?.())
        break
      case 0xec: // IDENTIFY DEVICE
        this.#writes = false
        this.#offer(this.#identity())
        break
      case 0x10: // RECALIBRATE
      case 0x91: // INITIALIZE DEVICE PARAMETERS
      case 0xef: // SET FEATURES
        break
      default:
        this.#finish(aborted)
    }
    this.#interrupt()
  }

  /** Where a command's sectors are, if all of them are there. */
  #locate(wide: boolean): boolean {
    const [, , count, low, middle, high] = this.#registers as unknown as number[]
    const [, , highCount, ...before] = this.#before as unknown as number[]
    const bytes = [low!, middle!, high!]
    const drive = this.#drive & 0x0f
    if (wide) {
      this.#left = highCount! * 256 + count! || 65_536
      this.#next = [...bytes, ...before].reduceRight((sum, byte) => sum * 256 + byte, 0)
    } else {
      this.#left = count! || 256
      const cylinder = high! * 256 + middle!
      this.#next =
        (this.#drive & byLba) !== 0
          ? [...bytes, drive].reduceRight((sum, byte) => sum * 256 + byte, 0)
          : (cylinder * heads + drive) * trackSectors + low! - 1
    }
    const isThere =
      this.#next >= 0 && (this.#next + this.#left) * sectorBytes <= this.#storage.bytes
    if (!isThere) this.#finish(notFound)
    return isThere
  }

  /** The next sectors are read, or there is room for them. */
  async #advance(): Promise<void> {
    const sectors = Math.min(this.#left, batchSectors)
    if (sectors === 0) return this.#finish(0)
    const bytes = new Uint8Array(sectors * sectorBytes)
    const offset = this.#next * sectorBytes
    if (!this.#writes && !(await this.#attempt(() => this.#storage.read(offset, bytes)))) return
    if (this.#writes && this.#storage.write === undefined) return this.#finish(aborted)
    this.#left -= sectors
    this.#next += sectors
    this.#offer(bytes)
  }

  #offer(bytes: Uint8Array): void {
    this.#buffer = bytes
    this.#at = 0
    this.#status = ready | seekComplete | dataRequest
  }

  /** Nothing more is to be transferred. */
  #finish(error: number): void {
    this.#buffer = new Uint8Array(0)
    this.#at = this.#left = 0
    this.#error = error
    this.#status = ready | seekComplete | (error === 0 ? 0 : bad)
  }

  /** What the storage cannot do is an error of the drive. */
  async #attempt(act: () => unknown): Promise<boolean> {
    try {
      await act()
      return true
    } catch {
      this.#finish(uncorrectable)
      return false
    }
  }

  #readData(size: number): number | Promise<number> {
    let value = 0
    for (let index = 0; index < size; index++) {
      const byte = this.#writes ? undefined : this.#buffer[this.#at++]
      value += (byte ?? 0xff) * 256 ** index
    }
    if (this.#at === 0 || this.#at % sectorBytes !== 0 || this.#buffer.length === 0) return value
    if (this.#at < this.#buffer.length) return this.#interrupt(value)
    return this.#advance().then(() => this.#interrupt(value))
  }

  #writeData(size: number, value: number): unknown {
    if (!this.#writes || this.#buffer.length === 0) return undefined
    for (let index = 0; index < size; index++)
      this.#buffer[this.#at++] = Math.floor(value / 256 ** index)
    if (this.#at % sectorBytes !== 0) return undefined
    if (this.#at < this.#buffer.length) return this.#interrupt(0)
    return this.#store()
  }

  async #store(): Promise<void> {
    const { length } = this.#buffer
    const offset = this.#next * sectorBytes - length
    const bytes = this.#buffer
    if (await this.#attempt(() => this.#storage.write!(offset, bytes))) await this.#advance()
    this.#interrupt()
  }

  /** A sector is there, or a command is done. */
  #interrupt(value = 0): number {
    if ((this.#control & noInterrupt) === 0) this.#context?.machine.irq(14).pulse()
    return value
  }

  /** What IDENTIFY DEVICE gives: 256 words (ATA8-ACS §7.12). */
  #identity(): Uint8Array {
    const words = new Uint16Array(256)
    const sectors = Math.floor(this.#storage.bytes / sectorBytes)
    const cylinders = Math.min(Math.floor(sectors / heads / trackSectors), 16_383)
    const short = Math.min(sectors, 2 ** 28 - 1)
    const text = (at: number, chars: number, what: string): void => {
      const bytes = Buffer.from(what.padEnd(chars)).swap16()
      for (let word = 0; word < chars / 2; word++) words[at + word] = bytes.readUInt16LE(2 * word)
    }
    words.set([0x0040, cylinders, 0, heads, 0, 0, trackSectors])
    text(10, 20, 'example')
    text(23, 8, '1')
    text(27, 40, 'vmexit example')
    words[49] = 0x0200 // by LBA
    words.set([short % 65_536, Math.floor(short / 65_536)], 60)
    words[80] = 0x00f0 // ATA-4 to ATA-7
    words[83] = words[86] = 0x7400 // 48-bit addresses, FLUSH CACHE
    words[93] = 0x4041 // no second drive
    for (const [index, power] of [0, 16, 32, 48].entries())
      words[100 + index] = Math.floor(sectors / 2 ** power) % 65_536
    return new Uint8Array(words.buffer)
  }
}
