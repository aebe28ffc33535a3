import { explainScene } from '../../debug/explain/explain.ts'
import type { Scene } from '../../debug/explain/scene.ts'
import { isFailure } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { checkKeys, checkObject } from '../../options/check.ts'
import type { Autopsy, ExplainOptions } from '../../results/autopsy.ts'
import type { Walk } from '../../results/walk.ts'
import type { RunResult } from '../../results/result.ts'
import { readSpecialRegisters } from '../registers.ts'
import { readEvents } from '../vcpu/state.ts'

/** The longest instruction (Intel SDM vol. 2A §2.3.11). */
const INSTRUCTION_BYTES = 15

/** `explain` on an idle machine. */
export function explainEnd(
  machine: NativeMachine,
  result: RunResult,
  options: ExplainOptions | undefined,
): Autopsy {
  if (options !== undefined)
    checkKeys('explain options', checkObject('explain options', options), [])
  return explainScene(sceneOf(machine, result), String(result))
}

function sceneOf(machine: NativeMachine, result: RunResult): Scene {
  const vcpu = result.vcpu ?? 0
  const { reason, exit, where, registers } = result
  const special = readSpecialRegisters(machine, vcpu)
  const isShutdown = reason === 'shutdown'
  const { exception } = readEvents(machine, vcpu)
  const registersKept = !isShutdown || where !== null
  // No exception has number 0 as well as #DE.
  const code = where?.bytes ?? new Uint8Array(0)
  const vector = isShutdown && exception.vector !== 0 ? exception.vector : null
  const { mode, parts } = machine.loaded()
  return {
    reason,
    exit,
    vector,
    ...(vector === 14 && { address: special.cr2 }),
    registers,
    special,
    registersKept,
    mode,
    backend: native.hostBackend(),
    parts,
    code: code.subarray(0, INSTRUCTION_BYTES),
    instruction: null,
    read: (gpa, length) => readGpa(machine, gpa, length),
    walk: (address) => walk(machine, special, address),
  }
}

function readGpa(machine: NativeMachine, gpa: number, length: number): Uint8Array | null {
  if (!Number.isSafeInteger(gpa) || gpa < 0) return null
  const bytes = new Uint8Array(length)
  return isFailure(machine.readMemory(gpa, bytes)) ? null : bytes
}

function walk(machine: NativeMachine, { cr0, cr3, efer }: Scene['special'], address: bigint): Walk {
  const levels: Walk['levels'][number][] = []
  const all = { user: true, writable: true, executable: true }
  if ((cr0 & (1n << 31n)) === 0n || (efer & 0x400n) === 0n)
    return { address, levels, page: { gpa: Number(address), pageBytes: 4096, ...all } }
  let table = cr3 & 0x000f_ffff_ffff_f000n
  for (const [index, name] of (['PML4', 'PDPT', 'PD', 'PT'] as const).entries()) {
    const shift = BigInt(39 - 9 * index)
    const gpa = Number(table + ((address >> shift) & 511n) * 8n)
    const bytes = readGpa(machine, gpa, 8)
    if (!bytes) return { address, levels, page: null, miss: { level: name, why: 'no-memory' } }
    const entry = new DataView(bytes.buffer).getBigUint64(0, true)
    const [present, writable, user] = [1n, 2n, 4n].map((bit) => (entry & bit) !== 0n) as [
      boolean,
      boolean,
      boolean,
    ]
    const executable = entry >> 63n === 0n
    const pageSize = (entry & 128n) !== 0n
    levels.push({ name, gpa, entry, present, writable, user, executable, pageSize })
    if (!present) return { address, levels, page: null, miss: { level: name, why: 'not-present' } }
    all.user &&= user
    all.writable &&= writable
    all.executable &&= executable
    table = entry & 0x000f_ffff_ffff_f000n
    if (index === 3 || (index > 0 && (entry & 128n) !== 0n)) {
      const mask = (1n << shift) - 1n
      return {
        address,
        levels,
        page: {
          gpa: Number((table & ~mask) | (address & mask)),
          pageBytes: Number(1n << shift),
          ...all,
        },
      }
    }
  }
  return { address, levels, page: null }
}
