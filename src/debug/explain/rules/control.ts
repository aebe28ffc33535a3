import { type Rule, hex, isLong, opcodeOf, ring } from '../scene.ts'
import { gatesToCheck, gateOf, selectorOf } from './descriptors.ts'
import { cr0After, isX87, vectorUnit } from './opcodes.ts'

const PE = 1n
const EM = 1n << 2n
const TS = 1n << 3n
const PG = 1n << 31n
const PAE = 1n << 5n
const OSFXSR = 1n << 9n
const OSXSAVE = 1n << 18n
const LME = 1n << 8n

/** CR0 as it is, and as the instruction would make it. */
function cr0s(scene: Parameters<Rule>[0]): bigint[] {
  const next = cr0After(scene)
  return next === null ? [scene.special.cr0] : [scene.special.cr0, next]
}

/** CS.L and CS.D exclude each other. */
export const csLAndD: Rule = (scene) => {
  const { cs } = scene.special
  const named = selectorOf(scene)
  const gates = gatesToCheck(scene).flatMap((vector) => gateOf(scene, vector)?.code ?? [])
  const all = [cs, ...(named ? [named] : []), ...gates].filter(({ l, db }) => l && db)
  if (all.length === 0 || !isLong(scene)) return []
  const found = `the code segment ${hex(all[0]!.selector)} has L and D both set`
  return [{ found, wanted: 'L = 1, D = 0 in 64-bit mode', manual: 'SDM 3A §3.4.5' }]
}

/** Long mode needs PAE. */
export const lmeWithoutPae: Rule = (scene) => {
  const { efer, cr4 } = scene.special
  const isWrong = (efer & LME) !== 0n && (cr4 & PAE) === 0n
  if (!isWrong || !cr0s(scene).some((cr0) => (cr0 & PG) !== 0n)) return []
  const found = `EFER.LME and CR0.PG are set, CR4.PAE is not (CR4 ${hex(cr4)})`
  return [{ found, wanted: 'CR4.PAE before CR0.PG', manual: 'SDM 3A §11.8.5' }]
}

/** Paging needs protection. */
export const pgWithoutPe: Rule = (scene) => {
  const wrong = cr0s(scene).find((cr0) => (cr0 & PG) !== 0n && (cr0 & PE) === 0n)
  if (wrong === undefined) return []
  const found = `CR0 is ${hex(wrong)}: PG is set, PE is not`
  return [{ found, wanted: 'CR0.PE with CR0.PG', manual: 'SDM 3A §2.5' }]
}

/** Whether the units that compute with vectors and floats are on. */
export const sseOff: Rule = (scene) => {
  const { cr0, cr4 } = scene.special
  const opcode = opcodeOf(scene)
  if (!opcode) return []
  const unit = isX87(opcode) ? 'x87' : vectorUnit(scene, opcode)
  if (!unit) return []
  const wrong = [
    ...((cr0 & EM) === 0n ? [] : ['CR0.EM is set']),
    ...((cr0 & TS) === 0n ? [] : ['CR0.TS is set']),
    ...(unit === 'SSE' && (cr4 & OSFXSR) === 0n ? ['CR4.OSFXSR is clear'] : []),
    ...(unit === 'AVX' && (cr4 & OSXSAVE) === 0n ? ['CR4.OSXSAVE is clear'] : []),
  ]
  if (wrong.length === 0) return []
  const wanted = {
    x87: 'CR0.EM and CR0.TS clear',
    SSE: 'CR0.EM and CR0.TS clear, CR4.OSFXSR and OSXMMEXCPT set, or code without SSE',
    AVX: 'CR0.TS clear, CR4.OSXSAVE set and XCR0 with AVX, or code without AVX',
  }[unit]
  return [
    { found: `an ${unit} instruction, and ${wrong.join(', ')}`, wanted, manual: 'SDM 3A §14.1' },
  ]
}

/** A mode that this KVM does not have. */
export const modeUnsupported: Rule = ({ mode, backend, reason }) => {
  if (mode !== 'paged32' || backend !== 'kvm_pvm' || reason !== 'shutdown') return []
  return [
    {
      found: 'mode paged32 on kvm_pvm, which ends at the first instruction',
      wanted: 'another mode, or a KVM on VMX or SVM',
      manual: 'npx vmexit doctor',
    },
  ]
}

const instead: Record<string, string> = {
  kvm_pvm: "code that KVM's emulator has, or ring 3, which runs natively here",
}

/** An instruction that KVM's emulator lacks. */
export const notEmulated: Rule = (scene) => {
  const { exit, backend, instruction } = scene
  if (exit?.reason !== 'internal-error' || exit.suberror !== 1 || scene.code.length === 0) return []
  const bytes = Buffer.from(scene.code).toString('hex')
  const what = instruction?.text ?? `the instruction ${bytes}`
  return [
    {
      found: `${backend} cannot emulate ${what} in ring ${ring(scene)}`,
      wanted: instead[backend] ?? "code that KVM's emulator has",
      manual: 'KVM API §5, KVM_EXIT_INTERNAL_ERROR',
    },
  ]
}
