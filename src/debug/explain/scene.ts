import type {
  NativeControlRegisters,
  NativeDescriptorTable,
  NativeSegment,
} from '../../native/seam.ts'
import type { Finding } from '../../results/autopsy.ts'
import type { Instruction } from '../../results/instruction.ts'
import type { Walk } from '../../results/walk.ts'
import type { Exit } from '../../results/exit.ts'
import type { Registers } from '../../results/registers.ts'
import { EFER_LMA, MAX_INSTRUCTION_BYTES, PAGE_BYTES, bitsOf } from '../disassemble.ts'

type Segment = Required<NativeSegment>
type Table = Required<NativeDescriptorTable>

/** The special registers that rules look at. */
interface Special extends Required<NativeControlRegisters> {
  readonly cs: Segment
  readonly ss: Segment
  readonly tr: Segment
  readonly gdt: Table
  readonly idt: Table
}

/** The end of a run as rules see it. Nothing in it is to be trusted: it is the guest's. */
export interface Scene {
  readonly reason: string
  readonly exit: Exit | null
  /** Of the exception, if one is known. */
  readonly vector: number | null
  readonly errorCode?: number
  /** The linear address of a page fault. */
  readonly address?: bigint
  readonly registers: Registers
  readonly special: Special
  /** Whether they are the guest's: KVM on SVM resets a vCPU that shuts down. */
  readonly registersKept: boolean
  /** The mode that the machine began in. */
  readonly mode: string
  /** The KVM. */
  readonly backend: string
  /** What was loaded, and where. */
  readonly parts: readonly { readonly gpa: number; readonly bytes: number }[]
  /** The bytes at RIP, up to 15, as far as there is memory. */
  readonly code: Uint8Array
  readonly instruction: Instruction | null
  /** The linear address of its operand in memory. */
  readonly operand?: bigint
  /** What a replay has to say of itself. */
  readonly notes?: readonly string[]
  /** Guest physical memory; `null` where there is none. */
  readonly read: (gpa: number, length: number) => Uint8Array | null
  readonly walk: (address: bigint) => Walk
}

/** A finding but its rule's name. */
export type Found = Omit<Finding, 'rule'>

/** What it finds, or nothing. */
export type Rule = (scene: Scene) => Found[]

const CR0_PE = 1n
const RFLAGS_VM = 1n << 17n

/** Whether it is in real mode. */
export function isReal({ special, registers }: Scene): boolean {
  return (special.cr0 & CR0_PE) === 0n || (registers.rflags & RFLAGS_VM) !== 0n
}

/** Whether it is in IA-32e mode, of which the 64-bit mode is one half. */
export function isLong({ special }: Scene): boolean {
  return (special.efer & EFER_LMA) !== 0n
}

/** Whether it is in the 64-bit half of it. */
export function is64Bit({ special }: Scene): boolean {
  return bitsOf(special) === 64
}

/** The ring. */
export function ring(scene: Scene): number {
  if ((scene.special.cr0 & CR0_PE) === 0n) return 0
  return scene.special.cs.selector & 3
}

/** The linear address of an offset in a segment. */
export function linear(scene: Scene, segment: Segment, offset: bigint): bigint {
  if (is64Bit(scene)) return BigInt.asUintN(64, offset)
  return BigInt.asUintN(32, segment.base + offset)
}

/** The linear address of the instruction. */
export function ripOf(scene: Scene): bigint {
  return linear(scene, scene.special.cs, scene.registers.rip)
}

/** The linear address under the top of the stack, where the processor pushes. */
export function pushAt(scene: Scene, bytes = isLong(scene) ? 8n : 4n): bigint {
  const { special, registers } = scene
  if (special.ss.db === 0 && !isLong(scene))
    return linear(scene, special.ss, BigInt.asUintN(16, registers.rsp - bytes))
  return linear(scene, special.ss, registers.rsp - bytes)
}

/** Whether an address has 57 or 48 bits, extended by their sign (Intel SDM vol. 1 §3.3.7.1). */
export function isCanonical({ special }: Scene, address: bigint): boolean {
  const bits = (special.cr4 & (1n << 12n)) === 0n ? 48 : 57
  return BigInt.asUintN(64, BigInt.asIntN(bits, address)) === BigInt.asUintN(64, address)
}

/** Bytes at a linear address, over page borders; `null` unless all of them can be read. */
export function readLinear(scene: Scene, address: bigint, length: number): Uint8Array | null {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length;) {
    const at = BigInt.asUintN(64, address + BigInt(done))
    const { page } = scene.walk(at)
    const left = PAGE_BYTES - Number(at & 0xfffn)
    const piece = page && scene.read(page.gpa, Math.min(left, length - done))
    if (!piece) return null
    bytes.set(piece, done)
    done += piece.length
  }
  return bytes
}

/** As many bytes at RIP as there are, up to the longest instruction. */
export function codeAt(scene: Scene): Uint8Array {
  const rip = ripOf(scene)
  const inPage = PAGE_BYTES - Number(rip & 0xfffn)
  const whole = readLinear(scene, rip, MAX_INSTRUCTION_BYTES)
  if (whole || inPage >= MAX_INSTRUCTION_BYTES) return whole ?? new Uint8Array(0)
  return readLinear(scene, rip, inPage) ?? new Uint8Array(0)
}

/** As messages show it. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`
}

/** An opcode after its prefixes. */
export interface Opcode {
  /** 1 for one byte, 2 for those after 0f. */
  readonly map: 1 | 2
  readonly byte: number
  /** The byte after it, mostly ModR/M. */
  readonly next: number
  /** Where it begins. */
  readonly at: number
}

const PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]

/** The opcode at RIP (Intel SDM vol. 2A §2.1). */
export function opcodeOf(scene: Scene): Opcode | null {
  const { code } = scene
  let at = 0
  while (at < code.length && PREFIXES.includes(code[at]!)) at++
  const isRex = is64Bit(scene) && (code[at]! & 0xf0) === 0x40
  if (isRex) at++
  const map = code[at] === 0x0f ? 2 : 1
  if (map === 2) at++
  const byte = code[at]
  return byte === undefined ? null : { map, byte, next: code[at + 1] ?? 0, at }
}
