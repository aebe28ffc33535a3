import { checkInteger, checkKeys, checkObject, checkUint64 } from '../options/check.ts'
import { take } from '../native/errors.ts'
import type { NativeMachine, NativeSegment, NativeSpecialRegisters } from '../native/seam.ts'
import { registerWords } from '../native/block.ts'
import { checkRegisters, putRegisters } from '../options/registers.ts'
import { type Registers, toRegisters } from '../results/registers.ts'
import {
  type DescriptorTable,
  type Segment,
  type SpecialRegisters,
  segmentNames,
  specialOfWords,
  tableNames,
} from '../results/special-registers.ts'

const controlNames = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'apicBase'] as const
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
 * Fields of a segment to set; what is absent keeps its value. Flags may be given as booleans.
 *
 * @interface
 *
 * @category Registers
 */
export type SegmentUpdate = {
  [Field in keyof Segment]?: Segment[Field] | (Field extends Flag ? boolean : never)
}

/**
 * Special registers to set; what is absent keeps its value, fields of a segment too.
 *
 * @interface
 *
 * @category Registers
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
  return specialOfWords()
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
