import type { SpecialRegistersUpdate } from '../../machine/registers.ts'
import type { Fpu } from '../../machine/vcpu/fpu.ts'
import type { Registers } from '../../results/registers.ts'
import type { SpecialRegisters } from '../../results/special-registers.ts'
import { fromLittle } from '../wire/bytes.ts'

/** How wide the code is that a vCPU runs. */
export type Bits = 16 | 32 | 64

/** All registers of a vCPU. */
export interface State {
  readonly general: Registers
  readonly special: SpecialRegisters
  readonly fpu: Fpu
}

/** Those to set. */
export interface Update {
  general: Partial<Registers>
  special: SpecialRegistersUpdate
  fpu: Partial<Fpu>
}

/** One register as gdb knows it. */
export interface Register {
  readonly name: string
  readonly bits: number
  readonly type: string
  readonly group?: 'general' | 'float' | 'vector' | 'system'
  read(state: State): bigint
  /** Without it, what is written is dropped. */
  write?(update: Update, value: bigint, state: State): void
}

/** Registers that gdb knows by the name of a feature. */
export interface Feature {
  readonly name: string
  readonly registers: readonly Register[]
}

const PE = 1n
const LMA = 0x400n

/** How wide the code is that runs now. */
export function bitsOf({ cr0, efer, cs }: SpecialRegisters): Bits {
  if ((cr0 & PE) !== 0n && (efer & LMA) !== 0n && cs.l === 1) return 64
  return (cr0 & PE) !== 0n && cs.db === 1 ? 32 : 16
}

/** What is added to an offset in the code for a linear address. */
function codeBase(special: SpecialRegisters): bigint {
  return bitsOf(special) === 64 ? 0n : special.cs.base
}

/** The linear address of the next instruction. */
function pcOf({ rip }: Registers, special: SpecialRegisters): bigint {
  const isLong = bitsOf(special) === 64
  return BigInt.asUintN(isLong ? 64 : 32, codeBase(special) + rip)
}

function general(name: keyof Registers, as: string, bits: number, type: string): Register {
  return {
    name: as,
    bits,
    type,
    group: 'general',
    read: (state) => BigInt.asUintN(bits, state.general[name]),
    write: (update, value) => void (update.general[name] = value),
  }
}

function programCounter(name: string, bits: number): Register {
  return {
    name,
    bits,
    type: 'code_ptr',
    group: 'general',
    read: (state) => BigInt.asUintN(bits, pcOf(state.general, state.special)),
    write: (update, value, { special }) => {
      update.general.rip = BigInt.asUintN(bits, value - codeBase(special))
    },
  }
}

const segmentNames = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const

function segment(name: (typeof segmentNames)[number]): Register {
  return {
    name,
    bits: 32,
    type: 'int32',
    group: 'general',
    read: ({ special }) => BigInt(special[name].selector),
    write: (update, value, { special }) => {
      const selector = Number(value & 0xffffn)
      const isReal = (special.cr0 & PE) === 0n
      update.special[name] = {
        ...update.special[name],
        selector,
        ...(isReal && { base: BigInt(selector) << 4n }),
      }
    },
  }
}

/** The registers of the stack from its top on: those of the first write are the old ones. */
function stackRegister(index: number): Register {
  return {
    name: `st${index}`,
    bits: 80,
    type: 'i387_ext',
    group: 'float',
    read: ({ fpu }) => fromLittle(fpu.st[index]!),
    write: (update, value, { fpu }) => {
      const hex = value.toString(16).padStart(20, '0')
      const st = (update.fpu.st ??= [...fpu.st])
      st[index] = new Uint8Array(Buffer.from(hex, 'hex').toReversed())
    },
  }
}

function word(name: 'fcw' | 'fsw' | 'fop', as: string): Register {
  return {
    name: as,
    bits: 32,
    type: 'int',
    group: 'float',
    read: ({ fpu }) => BigInt(fpu[name]),
    write: (update, value) => {
      update.fpu[name] = Number(value & (name === 'fop' ? 0x7ffn : 0xffffn))
    },
  }
}

/** Two bits for each register, of which FXSAVE keeps whether it is empty. */
const tags: Register = {
  name: 'ftag',
  bits: 32,
  type: 'int',
  group: 'float',
  read: ({ fpu: { ftw } }) =>
    Array.from({ length: 8 }, (_, index) => index).reduce(
      (all, index) => all | ((ftw >> index) & 1 ? 0n : 3n << BigInt(2 * index)),
      0n,
    ),
  write: (update, value) => {
    update.fpu.ftw = Array.from({ length: 8 }, (_, index) => index).reduce(
      (all, index) => (((value >> BigInt(2 * index)) & 3n) === 3n ? all : all | (1 << index)),
      0,
    )
  },
}

/** Of the last instruction, which KVM does not tell. */
const untold = (name: string): Register => {
  return { name, bits: 32, type: 'int', group: 'float', read: () => 0n }
}

const x87: readonly Register[] = [
  ...Array.from({ length: 8 }, (_, index) => stackRegister(index)),
  word('fcw', 'fctrl'),
  word('fsw', 'fstat'),
  tags,
  ...['fiseg', 'fioff', 'foseg', 'fooff'].map(untold),
  word('fop', 'fop'),
]

function vector(index: number): Register {
  return {
    name: `xmm${index}`,
    bits: 128,
    type: 'vec128',
    group: 'vector',
    read: ({ fpu }) => fpu.xmm[index]!,
    write: (update, value, { fpu }) => void ((update.fpu.xmm ??= [...fpu.xmm])[index] = value),
  }
}

const mxcsr: Register = {
  name: 'mxcsr',
  bits: 32,
  type: 'i386_mxcsr',
  group: 'vector',
  read: ({ fpu }) => BigInt(fpu.mxcsr),
  write: (update, value) => void (update.fpu.mxcsr = Number(value)),
}

function segmentBase(name: 'fs' | 'gs'): Register {
  return {
    name: `${name}_base`,
    bits: 64,
    type: 'int',
    group: 'system',
    read: ({ special }) => special[name].base,
    write: (update, base) => void (update.special[name] = { ...update.special[name], base }),
  }
}

function control(name: 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'cr8' | 'efer', bits: number): Register {
  return {
    name,
    bits,
    type: `int${bits}`,
    group: 'system',
    read: ({ special }) => BigInt.asUintN(bits, special[name]),
    write: (update, value) => void (update.special[name] = value),
  }
}

const controls = (bits: number): Feature => {
  const names = ['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer'] as const
  return { name: 'org.vmexit.control', registers: names.map((name) => control(name, bits)) }
}

const general64 = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp'] as const
const extended = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const
/** In the order of their numbers in DWARF, which is that of their encoding. */
const general32 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const
const pointers: readonly string[] = ['rsp', 'rbp']

const features64: readonly Feature[] = [
  {
    name: 'org.gnu.gdb.i386.core',
    registers: [
      ...[...general64, ...extended].map((name) =>
        general(name, name, 64, pointers.includes(name) ? 'data_ptr' : 'int64'),
      ),
      programCounter('rip', 64),
      general('rflags', 'eflags', 32, 'i386_eflags'),
      ...segmentNames.map(segment),
      ...x87,
    ],
  },
  {
    name: 'org.gnu.gdb.i386.sse',
    registers: [...Array.from({ length: 16 }, (_, index) => vector(index)), mxcsr],
  },
  { name: 'org.gnu.gdb.i386.segments', registers: [segmentBase('fs'), segmentBase('gs')] },
  controls(64),
]

const features32: readonly Feature[] = [
  {
    name: 'org.gnu.gdb.i386.core',
    registers: [
      ...general32.map((name) =>
        general(name, name.replace('r', 'e'), 32, pointers.includes(name) ? 'data_ptr' : 'int32'),
      ),
      programCounter('eip', 32),
      general('rflags', 'eflags', 32, 'i386_eflags'),
      ...segmentNames.map(segment),
      ...x87,
    ],
  },
  {
    name: 'org.gnu.gdb.i386.sse',
    registers: [...Array.from({ length: 8 }, (_, index) => vector(index)), mxcsr],
  },
  controls(32),
]

/** What gdb calls processors that run code of this width. */
export const architectures = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const

/** The registers of a width, in the order of their numbers. */
export const featuresOf = (bits: Bits): readonly Feature[] =>
  bits === 64 ? features64 : features32
