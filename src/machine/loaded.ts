import type { CpuMode, ImageFormat } from '../native/words.ts'

/** One thing that was put into the guest's memory. */
export interface LoadedPart {
  /** Its role: `image`, `segment`, `bss`, `kernel`, `initrd`, `module`, `command-line`, `boot-params`, … */
  readonly what: string
  /** Guest physical address of its first byte. */
  readonly gpa: number
  /** Bytes that were written. */
  readonly bytes: number
  /** All of its memory, at least `bytes`; the rest is zero. */
  readonly memoryBytes: number
}

/** What was put into the guest's memory before its first instruction. */
export interface Loaded {
  /** The image's format, as given or found. */
  readonly format: ImageFormat
  /** The mode of the first instruction. */
  readonly mode: CpuMode
  /** Guest physical address of the first instruction. */
  readonly entryGpa: number
  /** In the order of placing. */
  readonly parts: readonly LoadedPart[]
}
