import {
  type Found,
  type Rule,
  type Scene,
  hex,
  isCanonical,
  is64Bit,
  isReal,
  opcodeOf,
  readLinear,
  ring,
  ripOf,
} from '../scene.ts'
import type { Walk } from '../../../results/walk.ts'
import { isReturn, jumpTarget } from './opcodes.ts'

/** Bits of a page fault's error code (Intel SDM vol. 3A §5.7). */
const WRITE = 2
const USER = 4
const RESERVED = 8
const FETCH = 16

const crashes = ['fault', 'shutdown', 'internal-error', 'fail-entry']

/** The walks that may have failed: of the address of the fault, and of RIP. */
function walksOf(scene: Scene): Walk[] {
  if (!crashes.includes(scene.reason) || isReal(scene)) return []
  const { address } = scene
  const rip = ripOf(scene)
  const all = address === undefined || address === rip ? [rip] : [address, rip]
  return all.map((each) => scene.walk(each))
}

/** What the walks say that end for a reason. */
function missing(scene: Scene, why: string, say: (walk: Walk) => Found): Found[] {
  const walk = walksOf(scene).find(({ miss }) => miss?.why === why)
  return walk ? [say(walk)] : []
}

const entryOf = ({ levels, miss }: Walk): string => {
  const last = levels.at(-1)
  return last
    ? `${last.name} entry ${hex(last.entry)} at gpa ${hex(last.gpa)}`
    : (miss?.level ?? '')
}

/** A page of 1 GiB where the processor has none. */
export const gigabytePage: Rule = (scene) =>
  missing(scene, 'no-gigabyte-page', (walk) => ({
    found: `${hex(walk.address)}: the ${entryOf(walk)} has PS, and CPUID no pages of 1 GiB`,
    wanted: 'pages of 2 MiB, or CPUID 0x80000001 EDX bit 26',
    manual: 'SDM 3A §5.5.4',
  }))

/** A bit that must be 0. */
export const reservedBit: Rule = (scene) => {
  const wanted = 'reserved bits clear; XD only with EFER.NXE, addresses below MAXPHYADDR'
  const manual = 'SDM 3A §5.5.4, §5.7'
  const found = missing(scene, 'reserved', (walk) => ({
    found: `${hex(walk.address)}: a reserved bit is set in the ${entryOf(walk)}`,
    wanted,
    manual,
  }))
  if (found.length > 0 || scene.vector !== 14 || !((scene.errorCode ?? 0) & RESERVED)) return found
  // Nothing is reserved in an entry that is not present: of addresses that `kvm_pvm` keeps for
  // itself the error code tells what the host has there.
  const { address } = scene
  if (address !== undefined && scene.walk(address).miss?.why === 'not-present') return []
  return [{ found: 'the error code says that a reserved bit is set', wanted, manual }]
}

/** No page. */
export const pageNotPresent: Rule = (scene) => [
  ...missing(scene, 'not-present', (walk) => ({
    found: `${hex(walk.address)}: the ${entryOf(walk)} is not present`,
    wanted: 'a mapped address',
    manual: 'SDM 3A §5.7',
  })),
  ...missing(scene, 'no-memory', (walk) => ({
    found: `${hex(walk.address)}: the table ${walk.miss?.level} lies where no memory is`,
    wanted: 'CR3 and entries that lead to tables in memory',
    manual: 'SDM 3A §5.5',
  })),
]

/** A page whose code may not be run. */
export const noExecute: Rule = (scene) => {
  const { vector, errorCode = 0, address } = scene
  if (vector !== 14) return []
  const rip = ripOf(scene)
  const walk = scene.walk(rip)
  const isFetch = errorCode & FETCH || address === rip
  if (!isFetch || !walk.page || walk.page.executable) return []
  const level = walk.levels.find(({ executable }) => !executable)
  return [
    {
      found: `RIP ${hex(rip)} is in a page with XD, set in the ${level?.name} entry`,
      wanted: 'XD clear on every level of a page with code',
      manual: 'SDM 3A §5.6.1',
    },
  ]
}

/** A page that forbids the access. */
export const pageProtection: Rule = (scene) => {
  const { vector, errorCode, address } = scene
  if (vector !== 14 || address === undefined) return []
  const { page, levels } = scene.walk(address)
  if (!page) return []
  const isUser = errorCode === undefined ? ring(scene) === 3 : (errorCode & USER) !== 0
  const isWrite = errorCode !== undefined && (errorCode & WRITE) !== 0
  const manual = 'SDM 3A §5.6.1'
  const by = (flag: 'user' | 'writable'): string => levels.find((level) => !level[flag])?.name ?? ''
  if (isUser && !page.user) {
    const found = `ring 3 reaches for ${hex(address)}, a page of ring 0 (${by('user')} entry)`
    return [{ found, wanted: 'U/S set on every level, or ring 0', manual }]
  }
  if (!isWrite || page.writable) return []
  const found = `a write to ${hex(address)}, a read-only page (${by('writable')} entry)`
  return [{ found, wanted: 'R/W set on every level', manual }]
}

/** An address that is none. */
export const nonCanonical: Rule = (scene) => {
  if (!crashes.includes(scene.reason) || !is64Bit(scene)) return []
  const opcode = opcodeOf(scene)
  const top = opcode && isReturn(opcode) ? readLinear(scene, scene.registers.rsp, 8) : null
  const places: [string, bigint | null | undefined][] = [
    ['RIP', scene.registers.rip],
    ["the instruction's operand", scene.operand],
    ['the address that is jumped to', jumpTarget(scene)],
    ['the address that is returned to', top && new DataView(top.buffer).getBigUint64(0, true)],
  ]
  const wrong = places.find(([, at]) => at != null && !isCanonical(scene, at))
  if (!wrong) return []
  return [
    {
      found: `${wrong[0]} is ${hex(wrong[1]!)}, which is not canonical`,
      wanted: 'bits 63 to 47 all alike (to 56 with five levels)',
      manual: 'SDM 1 §3.3.7.1',
    },
  ]
}
