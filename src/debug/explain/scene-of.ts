import { isFailure } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeInstruction, NativeMachine } from '../../native/seam.ts'
import type { Instruction } from '../../results/instruction.ts'
import type { RunResult } from '../../results/result.ts'
import type { SpecialRegisters } from '../../results/special-registers.ts'
import { bitsOf, decodedOf } from '../disassemble.ts'
import type { ReplayScene } from '../replay.ts'
import type { Symbols } from '../symbols.ts'
import { walkOf } from '../virtual.ts'
import { isDivision } from './rules/opcodes.ts'
import { type Scene, codeAt, is64Bit, isReal, pushAt, ripOf } from './scene.ts'

type MemoryOperand = NonNullable<NativeInstruction['memory']>

/** The end of a machine's last run, and what is known of it. */
export interface Ended {
  readonly machine: NativeMachine
  readonly symbols: Symbols
  readonly result: RunResult
  readonly special: SpecialRegisters
  /** Of the exception that KVM has at hand after a shutdown. */
  readonly errorCode: number | undefined
  readonly replay: ReplayScene | undefined
}

/** The end as rules see it. */
export function sceneOf(ended: Ended): Scene {
  const { machine, result, replay } = ended
  const { reason, exit } = result
  const registers = replay?.registers ?? result.registers
  const special = replay?.special ?? ended.special
  const vcpu = result.vcpu ?? 0
  const { mode, parts } = machine.loaded()
  const base: Scene = {
    reason,
    exit,
    vector: null,
    registers,
    special,
    registersKept: exit?.reason !== 'shutdown' || exit.registersKept || Boolean(replay?.registers),
    mode,
    backend: native.hostBackend(),
    parts,
    code: new Uint8Array(0),
    instruction: null,
    notes: replay?.notes ?? [],
    read: (gpa, length) => {
      if (!Number.isSafeInteger(gpa) || gpa < 0) return null
      const bytes = new Uint8Array(length)
      return isFailure(machine.readMemory(gpa, bytes)) ? null : bytes
    },
    walk: (address) => walkOf(machine, vcpu, address, special),
  }
  if (!base.registersKept) return { ...base, ...exceptionOf(base, ended) }
  const coded = { ...base, code: codeAt(base) }
  const seen = { ...coded, ...instructionOf(coded, ended.symbols) }
  return { ...seen, ...exceptionOf(seen, ended) }
}

/** Which exception it was, if it was one. */
function exceptionOf(
  scene: Scene,
  { result, errorCode, replay }: Ended,
): Pick<Scene, 'vector' | 'errorCode' | 'address'> {
  const { fault, exit } = result
  if (fault) {
    const { vector, errorCode: code, address } = fault
    return {
      vector,
      ...(code !== undefined && { errorCode: code }),
      ...(address !== undefined && { address }),
    }
  }
  if (exit?.reason !== 'shutdown') return { vector: null }
  const kept = { vector: exit.vector, errorCode, address: scene.special.cr2 }
  const found = replay?.registers ? replay : kept
  const vector = found.vector ?? null
  // No exception has number 0, too.
  if (vector === null || (vector === 0 && !isDivision(scene))) return { vector: null }
  return {
    vector,
    ...(found.errorCode !== undefined && { errorCode: found.errorCode }),
    ...(vector === 14 && { address: found.address ?? addressOf(scene, found.errorCode) }),
  }
}

/** The page fault sets bit 4 of its error code for a fetch (Intel SDM vol. 3A §5.7). */
const FETCH = 16

/** What the instruction reaches for, where a replay has found no CR2. */
function addressOf(scene: Scene, errorCode = 0): bigint {
  const isFetch = (errorCode & FETCH) !== 0 || scene.code.length === 0
  return isFetch ? ripOf(scene) : (scene.operand ?? pushAt(scene))
}

/** The instruction at RIP, and the linear address that it names. */
function instructionOf(scene: Scene, symbols: Symbols): Pick<Scene, 'instruction' | 'operand'> {
  const { code, special } = scene
  if (code.length === 0) return { instruction: null }
  const address = ripOf(scene)
  const bits = bitsOf(special)
  const base = bits === 64 ? 0n : special.cs.base
  const [decoded] = decodedOf({ bytes: code, address, base, bits }, 1, symbols)
  if (!decoded) return { instruction: null }
  const { instruction, memory } = decoded
  const operand = memory && operandOf(scene, memory, instruction)
  return { instruction, ...(operand !== undefined && { operand }) }
}

/** In 64-bit mode, where only FS and GS have a base. */
function operandOf(
  scene: Scene,
  { segment, base, index, scale, displacement, relative }: MemoryOperand,
  { text }: Instruction,
): bigint | undefined {
  // `lea` computes an address and goes nowhere.
  if (isReal(scene) || !is64Bit(scene) || text.startsWith('lea ')) return undefined
  const values = scene.registers as Readonly<Record<string, bigint>>
  const parts = [base, index].map((name) => (name === undefined ? 0n : values[name]))
  // Of 32 bits, by a prefix.
  if (parts.includes(undefined)) return undefined
  const bases = scene.special as unknown as Readonly<Record<string, { base: bigint }>>
  const from = segment === 'fs' || segment === 'gs' ? bases[segment]!.base : 0n
  const [at, times] = parts as [bigint, bigint]
  const sum = relative ? displacement : at + times * BigInt(scale) + displacement
  return BigInt.asUintN(64, from + sum)
}
