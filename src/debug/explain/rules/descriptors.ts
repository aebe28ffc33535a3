import {
  type Found,
  type Rule,
  type Scene,
  hex,
  isLong,
  isReal,
  pushAt,
  readLinear,
  ring,
} from '../scene.ts'

/** A code or data segment in the GDT (Intel SDM vol. 3A §3.4.5). */
interface Descriptor {
  readonly selector: number
  /** Why it cannot be used; empty if it can. */
  readonly wrong: string
  readonly type: number
  readonly s: number
  readonly present: number
  readonly l: number
  readonly db: number
}

/** A gate of the IDT (§7.11, §7.14.1). */
interface Gate {
  readonly selector: number
  readonly type: number
  readonly present: boolean
  /** Of the stacks in the TSS that an interrupt may have, 1 to 7; 0 for none. */
  readonly ist: number
  readonly offset: bigint
  readonly code: Descriptor
}

/** The vectors that were to be delivered and were not. */
export function gatesToCheck(scene: Scene): number[] {
  if (scene.reason !== 'shutdown' || isReal(scene) || scene.mode === 'real') return []
  return scene.vector === null ? [6, 8, 13, 14] : [scene.vector]
}

const gateBytes = (scene: Scene): number => (isLong(scene) ? 16 : 8)

/** One of the IDT; `null` outside of it, and where it cannot be read. */
export function gateOf(scene: Scene, vector: number): Gate | null {
  const { base, limit } = scene.special.idt
  const size = gateBytes(scene)
  if (vector * size + size - 1 > limit) return null
  const bytes = readLinear(scene, base + BigInt(vector * size), size)
  if (!bytes) return null
  const view = new DataView(bytes.buffer)
  const high = size === 16 ? BigInt(view.getUint32(8, true)) << 32n : 0n
  const offset = BigInt(view.getUint16(0, true) | (view.getUint16(6, true) << 16))
  const selector = view.getUint16(2, true)
  return {
    selector,
    type: bytes[5]! & 0x1f,
    present: (bytes[5]! & 0x80) !== 0,
    ist: size === 16 ? bytes[4]! & 7 : 0,
    offset: BigInt.asUintN(32, offset) | high,
    code: descriptorOf(scene, selector),
  }
}

/** One of the GDT. */
function descriptorOf(scene: Scene, selector: number): Descriptor {
  const { base, limit } = scene.special.gdt
  const at = selector & 0xfff8
  const nothing = { selector, type: 0, s: 0, present: 0, l: 0, db: 0 }
  if (at === 0) return { ...nothing, wrong: 'is the null selector' }
  if (selector & 4) return { ...nothing, wrong: '' }
  if (at + 7 > limit) return { ...nothing, wrong: `is beyond the GDT's limit of ${hex(limit)}` }
  const bytes = readLinear(scene, base + BigInt(at), 8)
  if (!bytes) return { ...nothing, wrong: `names a GDT at ${hex(base)}, where no memory is` }
  const access = bytes[5]!
  const present = access >> 7
  return {
    selector,
    type: access & 15,
    s: (access >> 4) & 1,
    present,
    l: (bytes[6]! >> 5) & 1,
    db: (bytes[6]! >> 6) & 1,
    wrong: present ? '' : 'is not present',
  }
}

/** The segment that the error code of an exception names (§7.13). */
export function selectorOf(scene: Scene): Descriptor | null {
  const { vector, errorCode = 0 } = scene
  const isSelector = vector !== null && vector >= 10 && vector <= 13
  // Not of the LDT, not of the IDT.
  return isSelector && errorCode & 0xfff8 && !(errorCode & 6)
    ? descriptorOf(scene, errorCode & 0xfff8)
    : null
}

const manual = 'SDM 3A §7.10'

/** Whether there is a table at all for the exception. */
export const idtMissing: Rule = (scene) => {
  const { base, limit } = scene.special.idt
  const [vector] = gatesToCheck(scene)
  if (vector === undefined) return []
  const wanted = `limit at least ${hex((vector + 1) * gateBytes(scene) - 1)}, a gate in memory`
  const idt = `IDTR has base ${hex(base)}, limit ${hex(limit)}`
  if (limit < (vector + 1) * gateBytes(scene) - 1)
    return [{ found: `${idt}: no gate for vector ${vector}`, wanted, manual }]
  if (gateOf(scene, vector)) return []
  return [{ found: `${idt}: no memory for the gate of vector ${vector}`, wanted, manual }]
}

/** Gates, and what is to be said of each. */
function ofGates(scene: Scene, say: (gate: Gate, vector: number) => Found | null): Found[] {
  return gatesToCheck(scene)
    .flatMap((vector) => {
      const gate = gateOf(scene, vector)
      return (gate && say(gate, vector)) ?? []
    })
    .slice(0, 1)
}

/** Whether the gate is present. */
export const gateNotPresent: Rule = (scene) =>
  ofGates(scene, ({ present }, vector) =>
    present
      ? null
      : {
          found: `the gate of vector ${vector} has P = 0`,
          wanted: 'P = 1',
          manual: 'SDM 3A §7.11',
        },
  )

/** Whether the gate is of a type that exceptions may have. */
export const gateType: Rule = (scene) => {
  const types = isLong(scene) ? [14, 15] : [5, 6, 7, 14, 15]
  const wanted = isLong(scene)
    ? 'type 0xe (interrupt) or 0xf (trap)'
    : 'type 0xe or 0xf, 6 or 7 with 16 bits, or 5 (task)'
  return ofGates(scene, ({ present, type }, vector) =>
    !present || types.includes(type)
      ? null
      : {
          found: `the gate of vector ${vector} has type ${hex(type)}`,
          wanted,
          manual: 'SDM 3A §7.11',
        },
  )
}

/** Whether a gate, or an error code, names a segment that there is. */
export const gdtSelector: Rule = (scene) => {
  const wanted = 'the selector of a present segment in the GDT'
  const section = 'SDM 3A §3.4.2, §3.4.5'
  const named = selectorOf(scene)
  if (named) {
    const wrong = named.wrong || 'is of the wrong type or privilege for this'
    return [{ found: `the selector ${hex(named.selector)} ${wrong}`, wanted, manual: section }]
  }
  return ofGates(scene, ({ present, type, selector, code }, vector) => {
    if (!present || type === 5 || selector & 4) return null
    const isCode = code.s === 1 && code.type >= 8
    const isWide = !isLong(scene) || code.l === 1
    const wrong = code.wrong || (isCode ? (isWide ? '' : 'has L = 0') : 'is no code segment')
    if (wrong === '') return null
    const found = `the gate of vector ${vector} names ${hex(selector)}, which ${wrong}`
    return { found, wanted: 'a present code segment, in long mode with L = 1', manual: section }
  })
}

/** Whether the handler's code can be read. */
export const handlerUnmapped: Rule = (scene) =>
  ofGates(scene, ({ present, offset }, vector) => {
    const { page, miss } = scene.walk(offset)
    const isThere = page && page.executable && scene.read(page.gpa, 1)
    if (!present || isThere) return null
    const why = page ? 'where no code can be' : `which is not mapped (${miss?.level}: ${miss?.why})`
    const found = `the handler of vector ${vector} is at ${hex(offset)}, ${why}`
    return { found, wanted: 'the address of code', manual }
  })

/** A stack that the processor pushes to. */
export interface Stack {
  /** Where it comes from. */
  readonly name: 'RSP' | 'RSP0' | `IST${number}`
  /** Its top; `null` if the TSS cannot be read. */
  readonly top: bigint | null
  /** The linear address that is written first. */
  readonly push: bigint | null
}

/** The stack that the exception was to be pushed to (§7.12.1, §7.14.5). */
export function stackOf(scene: Scene): Stack | null {
  const gate = gatesToCheck(scene)
    .map((vector) => gateOf(scene, vector))
    .find((each) => each !== null)
  // Without a gate it came to no stack.
  if (!gate?.present) return null
  const { ist } = gate
  if (ist === 0 && ring(scene) === 0)
    return { name: 'RSP', top: scene.registers.rsp, push: pushAt(scene) }
  const width = isLong(scene) ? 8 : 4
  const offset = ist === 0 ? 4 : 0x24 + 8 * (ist - 1)
  const { base, limit } = scene.special.tr
  const bytes = offset + width - 1 > limit ? null : readLinear(scene, base + BigInt(offset), width)
  const name = ist === 0 ? 'RSP0' : (`IST${ist}` as const)
  if (!bytes) return { name, top: null, push: null }
  const view = new DataView(bytes.buffer)
  const top = width === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true))
  return { name, top, push: BigInt.asUintN(8 * width, top - BigInt(width)) }
}
