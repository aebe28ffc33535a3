import { checkInteger, checkKeys, checkObject, checkUint64 } from '../../options/check.ts'
import { invalid, take } from '../../native/errors.ts'
import type { NativeDebugRegisters, NativeMachine } from '../../native/seam.ts'

/**
 * Debug registers (KVM API, `struct kvm_debugregs`; Intel SDM vol. 3B §19.2).
 *
 * @interface
 *
 * @category Registers
 */
export type DebugRegisters = Required<NativeDebugRegisters>

/**
 * What waits for a vCPU (KVM API, `struct kvm_vcpu_events`).
 *
 * @category Interrupts
 */
export interface VcpuEvents {
  /** An exception, if one is injected or pending. */
  exception: {
    /** The next entry delivers it. */
    injected: boolean
    /** It was raised, and is injected next. */
    pending: boolean
    /** Which one, 0 to 31; of no meaning without either. */
    vector: number
    /** For the vectors that have one. */
    errorCode?: number
  }
  /** An external interrupt, if one is injected, and those after it. */
  interrupt: {
    /** The next entry delivers it. */
    injected: boolean
    /** Which one, 0 to 255; of no meaning unless it is injected. */
    vector: number
    /** It comes from an instruction, `int n`. */
    soft: boolean
    /** Vectors from `interrupt()` that KVM gets when the guest takes interrupts, oldest first. */
    queued: number[]
  }
  /** A non-maskable interrupt. */
  nmi: {
    /** The next entry delivers it. */
    injected: boolean
    /** It waits, such as for the end of another NMI's handler. */
    pending: boolean
    /** The guest is in the handler of an NMI. */
    masked: boolean
    /** One from `nmi()`, which KVM gets with the next run. */
    queued: boolean
  }
  /** Whether interrupts wait for one more instruction, after `sti` or a load of SS. */
  shadow: {
    /** After `sti`. */
    sti: boolean
    /** After a load of SS; it holds up NMIs, too. */
    movSs: boolean
  }
}

const breakpoints = ['dr0', 'dr1', 'dr2', 'dr3'] as const
/** Of these the upper 32 bits are reserved. */
const statuses = ['dr6', 'dr7'] as const

/** One model-specific register. */
export function readMsr(machine: NativeMachine, vcpu: number, index: unknown): bigint {
  return take(machine.readMsr(vcpu, checkIndex(index)))
}

/** Sets one. */
export function writeMsr(
  machine: NativeMachine,
  vcpu: number,
  index: unknown,
  value: unknown,
): void {
  take(machine.writeMsr(vcpu, checkIndex(index), checkUint64('value', value)))
}

function checkIndex(index: unknown): number {
  return checkInteger('index', index, 0, 0xffff_ffff)
}

/** All debug registers. */
export function readDebugRegisters(machine: NativeMachine, vcpu: number): DebugRegisters {
  return take(machine.debugRegisters(vcpu)) as DebugRegisters
}

/** Sets some of them. */
export function writeDebugRegisters(machine: NativeMachine, vcpu: number, value: unknown): void {
  const given = checkObject('debug registers', value)
  checkKeys('debug registers', given, [...breakpoints, ...statuses])
  const update: NativeDebugRegisters = {}
  for (const name of breakpoints) {
    const register = given[name]
    if (register !== undefined) update[name] = checkUint64(name, register)
  }
  for (const name of statuses) {
    const register = given[name]
    if (register !== undefined) update[name] = checkUint32(name, register)
  }
  take(machine.setDebugRegisters(vcpu, update))
}

function checkUint32(name: string, value: unknown): bigint {
  const isIn = typeof value === 'bigint' && value >= 0n && value < 1n << 32n
  return isIn ? value : invalid(name, 'a bigint from 0 to 2^32 - 1', value)
}

/** What waits. */
export function readEvents(machine: NativeMachine, vcpu: number): VcpuEvents {
  const flat = take(machine.events(vcpu))
  const errorCode = flat.exceptionErrorCode
  return {
    exception: {
      injected: flat.exceptionInjected,
      pending: flat.exceptionPending,
      vector: flat.exceptionVector,
      ...(errorCode === undefined ? {} : { errorCode }),
    },
    interrupt: {
      injected: flat.interruptInjected,
      vector: flat.interruptVector,
      soft: flat.interruptSoft,
      queued: flat.queued,
    },
    nmi: {
      injected: flat.nmiInjected,
      pending: flat.nmiPending,
      masked: flat.nmiMasked,
      queued: flat.nmiQueued,
    },
    shadow: { sti: flat.shadowSti, movSs: flat.shadowMovSs },
  }
}
