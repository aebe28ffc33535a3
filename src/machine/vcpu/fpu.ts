import {
  checkArray,
  checkBytes,
  checkInteger,
  checkKeys,
  checkObject,
} from '../../options/check.ts'
import { fail, invalid, take } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'

/**
 * Registers of the floating-point unit, of SSE and of AVX (Intel SDM vol. 1 §8.1, §10.2, §14.1).
 *
 * @category Registers
 */
export interface Fpu {
  /** The x87 control word, 16 bits. */
  fcw: number
  /** The x87 status word, 16 bits; bits 11 to 13 say which register is on top of the stack. */
  fsw: number
  /** The x87 tag word as FXSAVE abridges it: a bit for each register, 1 if it is in use. */
  ftw: number
  /** The opcode of the last x87 instruction, 11 bits. */
  fop: number
  /** Control and status of SSE, 32 bits. */
  mxcsr: number
  /** The x87 registers from the top of the stack on, 10 bytes each, little-endian. */
  st: Uint8Array[]
  /** XMM0 to XMM15, 128 bits each. */
  xmm: bigint[]
  /** YMM0 to YMM15, 256 bits each, where the processor has AVX. Their low halves are `xmm`. */
  ymm?: bigint[]
}

const names = ['fcw', 'fsw', 'ftw', 'fop', 'mxcsr', 'st', 'xmm', 'ymm'] as const
type Word = 'fcw' | 'fsw' | 'ftw' | 'fop' | 'mxcsr'

/** Where FXSAVE's 64-bit format has the words (Intel SDM vol. 1, table 10-2), and their values. */
const words: Record<Word, { at: number; bytes: 1 | 2 | 4; most: number }> = {
  fcw: { at: 0, bytes: 2, most: 0xffff },
  fsw: { at: 2, bytes: 2, most: 0xffff },
  ftw: { at: 4, bytes: 1, most: 0xff },
  fop: { at: 6, bytes: 2, most: 0x7ff },
  mxcsr: { at: 24, bytes: 4, most: 0xffff_ffff },
}
const wordNames = Object.keys(words) as Word[]
/** 8 registers of 10 bytes, one every 16 bytes. */
const ST = { at: 32, count: 8, bytes: 10, stride: 16 }
/** 16 registers of 16 bytes; and, after the 512 bytes of FXSAVE, the upper halves of YMM. */
const XMM_AT = 160
const UPPER_AT = 512
const VECTORS = 16
const MOST_128 = (1n << 128n) - 1n

/** All of it. */
export function readFpu(machine: NativeMachine, vcpu: number): Fpu {
  const bytes = take(machine.fpu(vcpu))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const xmm = vectors(view, XMM_AT)
  const fpu: Fpu = {
    ...(Object.fromEntries(wordNames.map((name) => [name, readWord(view, name)])) as Pick<
      Fpu,
      Word
    >),
    st: Array.from({ length: ST.count }, (_, index) => {
      const at = ST.at + index * ST.stride
      return bytes.slice(at, at + ST.bytes)
    }),
    xmm,
  }
  if (bytes.length > UPPER_AT) {
    const upper = vectors(view, UPPER_AT)
    fpu.ymm = xmm.map((low, index) => ((upper[index] as bigint) << 128n) | low)
  }
  return fpu
}

/** Sets some of it. */
export function writeFpu(machine: NativeMachine, vcpu: number, value: unknown): void {
  const given = checkObject('fpu', value)
  checkKeys('fpu', given, names)
  const { st, xmm, ymm } = given
  const update = {
    words: wordNames.map((name) => [name, checkWordOf(name, given[name])] as const),
    st: st === undefined ? [] : checkArrayOf('st', st, ST.count, checkSt),
    xmm: xmm === undefined ? [] : checkArrayOf('xmm', xmm, VECTORS, checkVector(128n)),
    ymm: ymm === undefined ? [] : checkArrayOf('ymm', ymm, VECTORS, checkVector(256n)),
  }
  const differs = update.xmm.findIndex((low, index) => low !== low128(update.ymm[index] ?? low))
  if (differs >= 0) {
    invalid(`fpu.ymm[${differs}]`, `fpu.xmm[${differs}] in its low half`, ymm)
  }
  const bytes = take(machine.fpu(vcpu))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (update.ymm.length > 0 && bytes.length <= UPPER_AT) {
    fail('ERR_INVALID_OPTION', 'fpu.ymm: this processor has no AVX; set fpu.xmm instead')
  }
  for (const [name, word] of update.words) if (word !== undefined) writeWord(view, name, word)
  for (const [index, register] of update.st.entries()) {
    bytes.set(register, ST.at + index * ST.stride)
  }
  for (const [index, register] of update.xmm.entries()) writeVector(view, XMM_AT, index, register)
  for (const [index, register] of update.ymm.entries()) {
    writeVector(view, XMM_AT, index, low128(register))
    writeVector(view, UPPER_AT, index, register >> 128n)
  }
  take(machine.setFpu(vcpu, bytes))
}

function low128(value: bigint): bigint {
  return value & MOST_128
}

function checkWordOf(name: Word, value: unknown): number | undefined {
  return value === undefined ? undefined : checkInteger(`fpu.${name}`, value, 0, words[name].most)
}

/** All registers of a kind. */
function checkArrayOf<T>(
  name: string,
  value: unknown,
  count: number,
  check: (item: unknown, name: string) => T,
): T[] {
  const items = checkArray(`fpu.${name}`, value, count, check)
  return items.length === count ? items : invalid(`fpu.${name}`, `${count} registers`, value)
}

function checkSt(item: unknown, name: string): Uint8Array {
  const bytes = checkBytes(name, item)
  return bytes.length === ST.bytes ? bytes : invalid(name, `${ST.bytes} bytes`, item)
}

function checkVector(bits: bigint): (item: unknown, name: string) => bigint {
  return (item, name) =>
    typeof item === 'bigint' && item >= 0n && item < 1n << bits
      ? item
      : invalid(name, `a bigint from 0 to 2^${bits} - 1`, item)
}

function readWord(view: DataView, name: Word): number {
  const { at, bytes } = words[name]
  if (bytes === 1) return view.getUint8(at)
  return bytes === 2 ? view.getUint16(at, true) : view.getUint32(at, true)
}

function writeWord(view: DataView, name: Word, value: number): void {
  const { at, bytes } = words[name]
  if (bytes === 1) view.setUint8(at, value)
  else if (bytes === 2) view.setUint16(at, value, true)
  else view.setUint32(at, value, true)
}

function vectors(view: DataView, from: number): bigint[] {
  return Array.from({ length: VECTORS }, (_, index) => {
    const at = from + index * 16
    return (view.getBigUint64(at + 8, true) << 64n) | view.getBigUint64(at, true)
  })
}

function writeVector(view: DataView, from: number, index: number, value: bigint): void {
  const at = from + index * 16
  view.setBigUint64(at, BigInt.asUintN(64, value), true)
  view.setBigUint64(at + 8, value >> 64n, true)
}
