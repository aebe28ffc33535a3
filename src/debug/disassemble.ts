import { VmError, raise, take } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeInstruction } from '../native/seam.ts'
import type { CpuMode } from '../native/words.ts'
import { checkInteger, checkKeys, checkObject } from '../options/check.ts'
import type { Instruction } from '../results/instruction.ts'
import type { Symbols } from './symbols.ts'
import type { VirtualMemory } from './virtual.ts'

/**
 * Whose code it is.
 *
 * @category Debugging
 */
export interface DisassembleOptions {
  /** Index of the vCPU whose mode and page tables count; default 0. */
  vcpu?: number
}

/** How many bits code has: operands and addresses without a prefix. */
export type CodeBits = 16 | 32 | 64

/** The most bytes of one instruction (Intel SDM vol. 2A §2.3.11). */
export const MAX_INSTRUCTION_BYTES = 15
/** The most instructions of one call. */
const MAX_INSTRUCTIONS = 1 << 16
export const PAGE_BYTES = 4096
/** The flag LMA of EFER: long mode is active. */
export const EFER_LMA = 1n << 10n

/** What decides how a vCPU reads code. */
export interface CodeSegment {
  readonly cs: { readonly base: bigint; readonly l: number; readonly db: number }
  readonly efer: bigint
}

/** How many bits code has for a vCPU with these registers. */
export function bitsOf({ cs, efer }: CodeSegment): CodeBits {
  if ((efer & EFER_LMA) !== 0n && cs.l !== 0) return 64
  return cs.db === 0 ? 16 : 32
}

/** How many bits code has that begins in a mode. */
export function bitsOfMode(mode: CpuMode): CodeBits {
  return mode === 'long' ? 64 : mode === 'real' ? 16 : 32
}

/** The first instructions of bytes, of which the first is at this instruction pointer. */
export function decode(
  bytes: Uint8Array,
  ip: bigint,
  bits: CodeBits,
  count: number,
): NativeInstruction[] {
  return take(native.disassemble(bytes, ip, bits, count))
}

/** Where code lies, and how it is read. */
export interface Code {
  readonly bytes: Uint8Array
  /** The linear address of the first byte. */
  readonly address: bigint
  /** The base of its segment, which instruction pointers do not count. */
  readonly base: bigint
  readonly bits: CodeBits
}

/** An instruction, and what a text does not say of it. */
export interface Decoded {
  readonly instruction: Instruction
  /** How it finds its operand in memory. */
  readonly memory: NativeInstruction['memory']
}

/**
 * The first instructions of code, with names of addresses. What an instruction says relative to RIP
 * is named after its text, and what it jumps to.
 */
export function* instructionsOf(
  code: Code,
  count: number,
  symbols: Symbols,
): Generator<Instruction> {
  for (const { instruction } of decodedOf(code, count, symbols)) yield instruction
}

/** The same, with their operands. */
export function* decodedOf(code: Code, count: number, symbols: Symbols): Generator<Decoded> {
  const { bytes, address, base, bits } = code
  const ip = BigInt.asUintN(64, address - base)
  let at = 0
  for (const decoded of decode(bytes, ip, bits, count)) {
    const linear = BigInt.asUintN(64, address + BigInt(at))
    const symbol = symbols.symbolOf(linear)
    const instruction = {
      address: linear,
      bytes: bytes.slice(at, at + decoded.length),
      text: decoded.text + named(decoded, base, symbols),
      ...(symbol !== undefined && { symbol }),
    }
    yield { instruction, memory: decoded.memory }
    at += decoded.length
  }
}

function named({ target, memory }: NativeInstruction, base: bigint, symbols: Symbols): string {
  if (target !== undefined) {
    const symbol = symbols.symbolOf(BigInt.asUintN(64, base + target))
    return symbol === undefined ? '' : ` <${symbol}>`
  }
  if (!memory?.relative) return ''
  const symbol = symbols.symbolOf(memory.displacement)
  const place = `  # 0x${memory.displacement.toString(16)}`
  return symbol === undefined ? place : `${place} <${symbol}>`
}

/** The index of the vCPU whose code is read. */
export function checkDisassembleOptions(options: unknown, vcpus: number): number {
  const given = checkObject('options', options)
  checkKeys('options', given, ['vcpu'])
  return checkInteger('vcpu', given['vcpu'] ?? 0, 0, vcpus - 1)
}

/** Instructions in memory, from an address or a symbol on. */
export function disassembleAt(
  memory: VirtualMemory,
  segment: CodeSegment,
  given: unknown,
  count: number,
  symbols: Symbols,
): Instruction[] {
  checkInteger('count', count, 1, MAX_INSTRUCTIONS)
  const address = symbols.resolve(given)
  const bits = bitsOf(segment)
  const base = bits === 64 ? 0n : segment.cs.base
  const bytes = readCode(memory, address, count * MAX_INSTRUCTION_BYTES)
  return [...instructionsOf({ bytes, address, base, bits }, count, symbols)]
}

/**
 * Bytes from an address on, page by page as far as they can be read; nothing in the first page is
 * an error.
 */
function readCode(memory: VirtualMemory, address: bigint, wanted: number): Uint8Array {
  const bytes = new Uint8Array(wanted)
  let length = 0
  while (length < wanted) {
    const at = BigInt.asUintN(64, address + BigInt(length))
    const inPage = PAGE_BYTES - Number(at % BigInt(PAGE_BYTES))
    try {
      const piece = memory.read(at, Math.min(inPage, wanted - length))
      bytes.set(piece, length)
      length += piece.length
    } catch (error) {
      const isHole = error instanceof VmError && error.code === 'ERR_GUEST_MEMORY'
      if (!isHole || length === 0) return raise(error)
      break
    }
  }
  return bytes.subarray(0, length)
}
