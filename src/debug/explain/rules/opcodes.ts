import { type Opcode, type Scene, is64Bit, isLong, opcodeOf } from '../scene.ts'

/** By their number in an instruction. */
const numbered = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const

/** The REX prefix, or 0. */
function rexOf({ code }: Scene, { at, map }: Opcode): number {
  const rex = code[at - map] ?? 0
  return (rex & 0xf0) === 0x40 ? rex : 0
}

/** The register in the field r/m of ModR/M. */
function operandRegister(scene: Scene, opcode: Opcode): bigint {
  const high = isLong(scene) ? (rexOf(scene, opcode) & 1) << 3 : 0
  return scene.registers[numbered[(opcode.next & 7) | high]!]
}

/** What an instruction `mov cr0` writes. */
export function cr0After(scene: Scene): bigint | null {
  const opcode = opcodeOf(scene)
  if (!opcode || opcode.map !== 2 || opcode.byte !== 0x22) return null
  if ((opcode.next & 0x38) !== 0 || rexOf(scene, opcode) & 4) return null
  return BigInt.asUintN(isLong(scene) ? 64 : 32, operandRegister(scene, opcode))
}

/** Where an indirect jump or call by register goes. */
export function jumpTarget(scene: Scene): bigint | null {
  const opcode = opcodeOf(scene)
  if (!opcode || opcode.map !== 1 || opcode.byte !== 0xff) return null
  const kind = opcode.next & 0xf8
  return kind === 0xe0 || kind === 0xd0 ? operandRegister(scene, opcode) : null
}

/** Whether it divides, which alone raises vector 0. */
export function isDivision(scene: Scene): boolean {
  const opcode = opcodeOf(scene)
  if (!opcode || opcode.map !== 1) return false
  const { byte, next } = opcode
  return byte === 0xd4 || ((byte === 0xf6 || byte === 0xf7) && (next & 0x30) === 0x30)
}

/** Whether it returns from a call. */
export function isReturn({ map, byte }: Opcode): boolean {
  return map === 1 && (byte === 0xc3 || byte === 0xc2)
}

/** Whether it computes with floats of old. */
export function isX87({ map, byte }: Opcode): boolean {
  return map === 1 && byte >= 0xd8 && byte <= 0xdf
}

const ssePrefixes = [0x66, 0xf2, 0xf3]

/** Which unit of vectors an instruction needs. */
export function vectorUnit(scene: Scene, { map, byte, at }: Opcode): 'SSE' | 'AVX' | null {
  if (map === 1)
    return is64Bit(scene) && (byte === 0xc4 || byte === 0xc5 || byte === 0x62) ? 'AVX' : null
  if (between(byte, 0x10, 0x17) || between(byte, 0x28, 0x2f) || between(byte, 0x50, 0x5f))
    return 'SSE'
  if (byte === 0xc2 || byte === 0xc6) return 'SSE'
  // MMX without such a prefix.
  const isMedia = between(byte, 0x60, 0x7f) || byte === 0xc4 || byte === 0xc5 || byte >= 0xd0
  const prefixes = scene.code.subarray(0, at)
  return isMedia && prefixes.some((prefix) => ssePrefixes.includes(prefix)) ? 'SSE' : null
}

const between = (byte: number, least: number, most: number): boolean =>
  byte >= least && byte <= most

/** An access to ports: which, with how many bytes. */
export interface PortUse {
  readonly port: number
  readonly size: number
}

/** The port of `in`, `out`, `ins` and `outs` (Intel SDM vol. 1 §19.3). */
export function portOf(scene: Scene): PortUse | null {
  const opcode = opcodeOf(scene)
  if (!opcode || opcode.map !== 1) return null
  const { byte, next, at } = opcode
  const isShort =
    scene.code.subarray(0, at).includes(0x66) !== (scene.special.cs.db === 0 && !isLong(scene))
  const size = byte & 1 ? (isShort ? 2 : 4) : 1
  if (between(byte, 0xe4, 0xe7)) return { port: next, size }
  const isByRegister = between(byte, 0xec, 0xef) || between(byte, 0x6c, 0x6f)
  return isByRegister ? { port: Number(scene.registers.rdx & 0xffffn), size } : null
}
