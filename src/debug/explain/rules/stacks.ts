import {
  type Rule,
  type Scene,
  hex,
  isCanonical,
  isLong,
  isReal,
  pushAt,
  ring,
  ripOf,
} from '../scene.ts'
import { stackOf } from './descriptors.ts'

const crashes = ['fault', 'shutdown', 'internal-error', 'fail-entry']

/** Why nothing can be pushed at an address; `null` if something can. */
function unwritable(scene: Scene, address: bigint): string | null {
  const { page, miss } = scene.walk(address)
  if (!page) return `is not mapped (${miss?.level}: ${miss?.why})`
  if (!page.writable) return 'is mapped read-only'
  return scene.read(page.gpa, 1) ? null : `is mapped to gpa ${hex(page.gpa)}, where no memory is`
}

/** How near to RSP an access is one to the stack. */
const NEAR = 4096n

/** The address that a fault has at the top of the stack. */
function faultAtStack(scene: Scene): bigint | null {
  const { reason, vector, address } = scene
  if (reason !== 'fault' && reason !== 'shutdown') return null
  if (vector !== 14 || address === undefined) return null
  const away = BigInt.asIntN(64, address - pushAt(scene, 0n))
  return away >= -NEAR && away <= NEAR ? address : null
}

/** Whether there is memory under RSP. */
export const stackUnmapped: Rule = (scene) => {
  if (isReal(scene)) return []
  const stack = stackOf(scene)
  const address = faultAtStack(scene) ?? (stack?.name === 'RSP' ? stack.push : null)
  if (address === null || !isCanonical(scene, address)) return []
  const why = unwritable(scene, address)
  if (why === null) return []
  const found = `RSP is ${hex(scene.registers.rsp)}, and ${hex(address)} ${why}`
  return [{ found, wanted: 'RSP at the end of writable memory', manual: 'SDM 3A §7.12.1' }]
}

/** Whether RSP is an address at all. */
export const stackWild: Rule = (scene) => {
  const { rsp } = scene.registers
  if (!crashes.includes(scene.reason) || !isLong(scene)) return []
  if (isCanonical(scene, rsp) && isCanonical(scene, pushAt(scene))) return []
  const found = `RSP is ${hex(rsp)}, which is not canonical`
  return [{ found, wanted: 'RSP at the end of writable memory', manual: 'SDM 3A §7.14.2' }]
}

/** Whether the TSS has a stack for the handler. */
export const tssStack: Rule = (scene) => {
  const stack = stackOf(scene)
  if (!stack || stack.name === 'RSP') return []
  const { name, top, push } = stack
  const { base, limit } = scene.special.tr
  const manual = 'SDM 3A §8.7, §7.14.5'
  const wanted = `${name} in the TSS at the end of writable memory`
  const tss = `the TSS at ${hex(base)} (limit ${hex(limit)})`
  if (top === null || push === null) return [{ found: `${tss} has no ${name}`, wanted, manual }]
  const why =
    isLong(scene) && !isCanonical(scene, push) ? 'is not canonical' : unwritable(scene, push)
  if (top !== 0n && why === null) return []
  const from = ring(scene) === 3 ? ' for the way from ring 3 to ring 0' : ''
  return [
    {
      found: `${tss} has ${name} ${hex(top)}${from}${why ? `: ${hex(push)} ${why}` : ''}`,
      wanted,
      manual,
    },
  ]
}

const PAGE = ~0xfffn

/** Whether the stack lies in the tables that map it. */
export const stackOverTables: Rule = (scene) => {
  if ((scene.special.cr0 & (1n << 31n)) === 0n) return []
  const push = pushAt(scene)
  const walks = [scene.walk(push), scene.walk(ripOf(scene))]
  const entries = walks.flatMap(({ levels }) => levels.map(({ gpa }) => BigInt(gpa) & PAGE))
  const tables = new Set([scene.special.cr3 & 0x000f_ffff_ffff_f000n, ...entries])
  // What a stack has overwritten maps it no longer; tables mostly map themselves one to one.
  const here = walks[0]!.page ? BigInt(walks[0]!.page.gpa) : push
  const table = [here, here + 8n].map((gpa) => gpa & PAGE).find((page) => tables.has(page))
  if (table === undefined) return []
  const found = `RSP is ${hex(scene.registers.rsp)}, in the page table at gpa ${hex(table)}`
  return [{ found, wanted: 'a stack that grows down to no page table', manual: 'SDM 3A §5.5' }]
}
