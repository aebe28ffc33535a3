// Ends of runs that are made up, for rules to look at.
import type { Scene } from '../../src/debug/explain/scene.ts'
import type { Walk } from '../../src/results/walk.ts'
import { code } from './machine.ts'

const segment = {
  base: 0n,
  limit: 0xffff_ffff,
  selector: 8,
  type: 11,
  present: 1,
  dpl: 0,
  db: 0,
  s: 1,
  l: 1,
  g: 1,
  avl: 0,
  unusable: 0,
}

/** Registers of a sound kernel in long mode. */
export const special: Scene['special'] = {
  cs: segment,
  ss: { ...segment, selector: 16, type: 3, l: 0, db: 1 },
  tr: { ...segment, selector: 24, base: 0x5000n, limit: 0x67, s: 0 },
  gdt: { base: 0x4000n, limit: 0x27 },
  idt: { base: 0x3000n, limit: 0xfff },
  cr0: 0x8001_0033n,
  cr2: 0n,
  cr3: 0x1_0000n,
  cr4: 0x20n,
  cr8: 0n,
  efer: 0xd00n,
  apicBase: 0xfee0_0900n,
}

const zeros = {
  rax: 0n,
  rbx: 0n,
  rcx: 0n,
  rdx: 0n,
  rsi: 0n,
  rdi: 0n,
  rsp: 0x8000n,
  rbp: 0n,
  r8: 0n,
  r9: 0n,
  r10: 0n,
  r11: 0n,
  r12: 0n,
  r13: 0n,
  r14: 0n,
  r15: 0n,
  rip: 0x1000n,
  rflags: 2n,
}

/** What differs from a sound kernel that raised #UD in long mode, with 1 MiB of memory. */
export interface Given extends Partial<Omit<Scene, 'registers' | 'special' | 'code'>> {
  registers?: Partial<Scene['registers']>
  special?: Partial<Scene['special']>
  /** A listing. */
  code?: string
  /** Listings, by address. */
  memory?: Record<number, string>
  /** Rights and holes of pages, by the address of the page. */
  pages?: Record<
    number,
    Partial<NonNullable<Walk['page']>> | { miss: NonNullable<Walk['miss']>['why'] }
  >
}

/** 64-bit descriptors: null, code, data, TSS. */
const gdt = `
  00 00 00 00 00 00 00 00 ;
  ff ff 00 00 00 9b af 00 ; code
  ff ff 00 00 00 93 cf 00 ; data
  67 00 00 50 00 8b 00 00 ; TSS at 0x5000
  00 00 00 00 00 00 00 00 ;`

/** A gate to 0x1100: an interrupt gate of ring 0, unless bytes 2 to 5 are given. */
export const gate = (middle = '08 00 00 8e'): string =>
  `00 11 ${middle} 00 00 00 00 00 00 00 00 00 00`

/** One of them. */
export function scene(given: Given = {}): Scene {
  const memory = new Uint8Array(1 << 20)
  const entries = { 0x3000: `${gate()} `.repeat(32), 0x4000: gdt, ...given.memory }
  for (const [at, listing] of Object.entries(entries)) memory.set(code(listing), Number(at))
  const read = (gpa: number, length: number): Uint8Array | null =>
    gpa >= 0 && gpa + length <= memory.length ? memory.slice(gpa, gpa + length) : null
  const walk = (address: bigint): Walk => {
    const own = given.pages?.[Number(address & ~0xfffn)] ?? {}
    const rights = { user: true, writable: true, executable: true, ...own }
    const { user, writable, executable } = rights
    const flags = { user, writable, executable, present: !('miss' in own), pageSize: false }
    const levels = [{ name: 'PT' as const, gpa: 0x1_3000, entry: address | 7n, ...flags }]
    if ('miss' in own) return { address, levels, page: null, miss: { level: 'PT', why: own.miss } }
    const far = address >> 47n !== 0n
    if (far) return { address, levels: [], page: null, miss: { level: 'PML4', why: 'not-present' } }
    return {
      address,
      levels,
      page: { gpa: Number(address), pageBytes: 4096, user, writable, executable },
    }
  }
  return {
    reason: 'shutdown',
    exit: { reason: 'shutdown' },
    vector: 6,
    registersKept: true,
    mode: 'long',
    backend: 'kvm_intel',
    parts: [{ gpa: 0x1000, bytes: 0x400 }],
    instruction: null,
    read,
    walk,
    ...given,
    registers: { ...zeros, ...given.registers },
    special: { ...special, ...given.special },
    code: code(given.code ?? '0f 0b'),
  } as Scene
}
