import { special, specialBytes } from '../native/block.ts'
import type {
  NativeControlRegisters,
  NativeDescriptorTable,
  NativeSegment,
  NativeSpecialRegisters,
} from '../native/seam.ts'

export const segmentNames = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldt'] as const
export const tableNames = ['gdt', 'idt'] as const

/**
 * A segment register with its hidden part (KVM API, `struct kvm_segment`; Intel SDM vol. 3A
 * §3.4.3). Flags are 0 or 1.
 *
 * @category Registers
 */
export interface Segment extends Required<NativeSegment> {}

/**
 * GDTR or IDTR (KVM API, `struct kvm_dtable`).
 *
 * @category Registers
 */
export interface DescriptorTable extends Required<NativeDescriptorTable> {}

/**
 * Segment, descriptor-table and control registers (KVM API, `struct kvm_sregs`).
 *
 * @interface
 *
 * @category Registers
 */
export type SpecialRegisters = {
  [Name in keyof Pick<NativeSpecialRegisters, (typeof segmentNames)[number]>]-?: Segment
} & {
  [Name in keyof Pick<NativeSpecialRegisters, (typeof tableNames)[number]>]-?: DescriptorTable
} & Required<NativeControlRegisters>

/** All special registers, of the shared words. */
export function specialOfWords(): SpecialRegisters {
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
