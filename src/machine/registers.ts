import { checkInteger, checkKeys, checkObject, checkUint64 } from '../options/check.ts'
import { take } from '../native/errors.ts'
import type {
  NativeControlRegisters,
  NativeDescriptorTable,
  NativeMachine,
  NativeSegment,
  NativeSpecialRegisters,
} from '../native/seam.ts'
import { registerWords, special, specialBytes } from '../native/block.ts'
import { checkRegisters, putRegisters } from '../options/registers.ts'
import { type Registers, toRegisters } from '../results/registers.ts'

const controlNames = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'apicBase'] as const
const segmentNames = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const
const tableNames = ['gdt', 'idt'] as const
/** Fields of a segment but its base, with their largest value. */
const segmentFields = {
  limit: 0xffff_ffff,
  selector: 0xffff,
  type: 15,
  present: 1,
  dpl: 3,
  db: 1,
  s: 1,
  l: 1,
  g: 1,
  avl: 1,
  unusable: 1,
} as const
type Flag = 'present' | 'db' | 's' | 'l' | 'g' | 'avl' | 'unusable'

/**
 * A segment register with its hidden part (KVM API, `struct kvm_segment`; Intel SDM vol. 3A
 * §3.4.3). Flags are 0 or 1.
 */
export interface Segment extends Required<NativeSegment> {}

/** GDTR or IDTR (KVM API, `struct kvm_dtable`). */
export interface DescriptorTable extends Required<NativeDescriptorTable> {}

/**
 * Segment, descriptor-table and control registers (KVM API, `struct kvm_sregs`).
 *
 * @interface
 */
export type SpecialRegisters = {
  [Name in keyof Pick<NativeSpecialRegisters, (typeof segmentNames)[number]>]-?: Segment
} & {
  [Name in keyof Pick<NativeSpecialRegisters, (typeof tableNames)[number]>]-?: DescriptorTable
} & Required<NativeControlRegisters>

/**
 * Fields of a segment to set; what is absent keeps its value. Flags may be given as booleans.
 *
 * @interface
 */
export type SegmentUpdate = {
  [Field in keyof Segment]?: Segment[Field] | (Field extends Flag ? boolean : never)
}

/**
 * Special registers to set; what is absent keeps its value, fields of a segment too.
 *
 * @interface
 */
export type SpecialRegistersUpdate = {
  [Name in keyof SpecialRegisters]?: SpecialRegisters[Name] extends Segment
    ? SegmentUpdate
    : SpecialRegisters[Name] extends DescriptorTable
      ? Partial<DescriptorTable>
      : bigint
}

/** All general registers. */
export function readRegisters(machine: NativeMachine, vcpu: number): Registers {
  take(machine.registers(vcpu))
  return toRegisters(registerWords)
}

/** Sets some general registers. */
export function writeRegisters(machine: NativeMachine, vcpu: number, value: unknown): void {
  const given = checkRegisters('registers', value)
  take(machine.setRegisters(vcpu, putRegisters(given)))
}

/** All special registers. */
export function readSpecialRegisters(machine: NativeMachine, vcpu: number): SpecialRegisters {
  take(machine.specialRegisters(vcpu))
  const [cr0, cr2, cr3, cr4, cr8, efer, apicBase] = special.subarray(28) as unknown as bigint[]
  return {
    cs: toSegment(0),
    ds: toSegment(1),
    es: toSegment(2),
    fs: toSegment(3),
    gs: toSegment(4),
    ss: toSegment(5),
    tr: toSegment(6),
    ldt: toSegment(7),
    gdt: toTable(24),
    idt: toTable(26),
    cr0: cr0!,
    cr2: cr2!,
    cr3: cr3!,
    cr4: cr4!,
    cr8: cr8!,
    efer: efer!,
    apicBase: apicBase!,
  }
}

/** Of the words, by its place among them; its fields are where `struct kvm_segment` has them. */
function toSegment(index: number): Segment {
  const at = 24 * index
  const byte = (offset: number): number => specialBytes.getUint8(at + offset)
  return {
    base: special[3 * index]!,
    limit: specialBytes.getUint32(at + 8, true),
    selector: specialBytes.getUint16(at + 12, true),
    type: byte(14),
    present: byte(15),
    dpl: byte(16),
    db: byte(17),
    s: byte(18),
    l: byte(19),
    g: byte(20),
    avl: byte(21),
    unusable: byte(22),
  }
}

function toTable(word: number): DescriptorTable {
  return { base: special[word]!, limit: Number(special[word + 1]!) }
}

/** Sets some special registers. */
export function writeSpecialRegisters(machine: NativeMachine, vcpu: number, value: unknown): void {
  const given = checkObject('special registers', value)
  checkKeys('special registers', given, [...segmentNames, ...tableNames, ...controlNames])
  const update: NativeSpecialRegisters = {}
  for (const name of segmentNames) {
    const segment = given[name]
    if (segment !== undefined) update[name] = checkSegment(name, segment)
  }
  for (const name of tableNames) {
    const table = given[name]
    if (table !== undefined) update[name] = checkTable(name, table)
  }
  update.control = checkBigints(given, controlNames)
  take(machine.setSpecialRegisters(vcpu, update))
}

function checkBigints(
  given: Record<string, unknown>,
  names: readonly string[],
): Record<string, bigint> {
  const registers = names.map((name) => [name, given[name]] as const)
  const defined = registers.filter(([, register]) => register !== undefined)
  return Object.fromEntries(defined.map(([name, register]) => [name, checkUint64(name, register)]))
}

function checkSegment(name: string, value: unknown): NativeSegment {
  const given = checkObject(name, value)
  checkKeys(name, given, ['base', ...Object.keys(segmentFields)])
  const update: NativeSegment = {}
  const { base } = given
  if (base !== undefined) update.base = checkUint64(`${name}.base`, base)
  for (const [field, most] of Object.entries(segmentFields)) {
    const flag = toFlag(given[field], most)
    if (flag !== undefined)
      update[field as keyof typeof segmentFields] = checkInteger(`${name}.${field}`, flag, 0, most)
  }
  return update
}

/** Flags may be given as true and false. */
function toFlag(value: unknown, most: number): unknown {
  return typeof value === 'boolean' && most === 1 ? Number(value) : value
}

function checkTable(name: string, value: unknown): Partial<DescriptorTable> {
  const given = checkObject(name, value)
  checkKeys(name, given, ['base', 'limit'])
  const update: Partial<DescriptorTable> = {}
  const { base } = given
  if (base !== undefined) update.base = checkUint64(`${name}.base`, base)
  const { limit } = given
  if (limit !== undefined) update.limit = checkInteger(`${name}.limit`, limit, 0, 0xffff)
  return update
}
