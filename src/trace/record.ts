import { type ExitReason, exitReasons } from '../native/words.ts'
import { type Registers, toRegisters } from '../results/registers.ts'

/**
 * One exit of a trace. Times are nanoseconds, as whole numbers.
 *
 * @category Debugging
 */
export interface TracedExit {
  /** When `KVM_RUN` returned, since the trace began. */
  readonly timeNs: number
  /**
   * How long the vCPU was in the guest before. 0 if the trace began meanwhile, or if the exit came
   * out of an instruction that was not finished.
   */
  readonly guestNs: number
  /** How long it was not in the guest after that: until it went on, or its run ended or paused. */
  readonly hostNs: number
  /** Index of the vCPU. */
  readonly vcpu: number
  /** Why `KVM_RUN` returned. */
  readonly reason: ExitReason
  /** Whether it is answered, or needs no answer. */
  readonly answered: boolean
  /** The I/O port, of `pio-out` and `pio-in`. */
  readonly port?: number
  /** Guest physical address of the first byte, of `mmio-write` and `mmio-read`. */
  readonly gpa?: number
  /** Bytes of one item of an access. */
  readonly size?: number
  /** Items of an access. */
  readonly count?: number
  /**
   * The first item of an access, little-endian: what the guest wrote, or what it read; a number up
   * to 4 bytes, a bigint above. None of a read without an answer.
   */
  readonly value?: number | bigint
  /**
   * The route that answered: its place in `routes` of the options. Routes of a PC's own, and those
   * that were attached, have higher numbers.
   */
  readonly route?: number
  /** RIP as KVM shows it at the exit: that of the instruction, or of the one after it. */
  readonly rip?: bigint
  /** General registers at the exit, of a trace with `registers: true`. */
  readonly registers?: Registers
}

/** Records as they were at one moment. */
export interface Records {
  readonly bytes: Uint8Array
  readonly dropped: number
  readonly capacity: number
  readonly vcpus: number
  readonly registers: boolean
}

/** Bytes of a record without registers. */
const plainBytes = 64
const registerWords = 18

/** Bytes of a record. */
export function recordBytes(registers: boolean): number {
  return plainBytes + (registers ? registerWords * 8 : 0)
}

/** Bits of a record's flags. */
export const flags = { answered: 1, value: 2, route: 4, registers: 8, all: 15 } as const

/** Where the fields of a record lie; docs/debugging.md has the table. */
export const at = {
  time: 0,
  guest: 8,
  host: 16,
  address: 24,
  value: 32,
  rip: 40,
  reason: 48,
  size: 49,
  flags: 50,
  vcpu: 52,
  count: 56,
  route: 60,
  registers: 64,
} as const

/** The vCPU of a record that begins at an offset. */
export function vcpuAt(view: DataView, offset: number): number {
  return view.getUint32(offset + at.vcpu, true)
}

/** The exit of a record that begins at an offset. */
export function exitAt(view: DataView, offset: number, hasRegisters: boolean): TracedExit {
  const reason = exitReasons[view.getUint8(offset + at.reason)]!
  const known = view.getUint16(offset + at.flags, true)
  const number = (field: number): number => Number(view.getBigUint64(offset + field, true))
  return {
    timeNs: number(at.time),
    guestNs: number(at.guest),
    hostNs: number(at.host),
    vcpu: vcpuAt(view, offset),
    reason,
    answered: (known & flags.answered) !== 0,
    ...accessAt(view, offset, reason, known),
    ...((known & flags.registers) !== 0 && {
      rip: view.getBigUint64(offset + at.rip, true),
      ...(hasRegisters && { registers: registersAt(view, offset + at.registers) }),
    }),
  }
}

function accessAt(
  view: DataView,
  offset: number,
  reason: ExitReason,
  known: number,
): Partial<TracedExit> {
  const isPort = reason === 'pio-out' || reason === 'pio-in'
  if (!isPort && reason !== 'mmio-write' && reason !== 'mmio-read') return {}
  const address = Number(view.getBigUint64(offset + at.address, true))
  const size = view.getUint8(offset + at.size)
  const value = view.getBigUint64(offset + at.value, true)
  return {
    ...(isPort ? { port: address } : { gpa: address }),
    size,
    count: view.getUint32(offset + at.count, true),
    ...((known & flags.value) !== 0 && { value: size <= 4 ? Number(value) : value }),
    ...((known & flags.route) !== 0 && { route: view.getUint32(offset + at.route, true) }),
  }
}

function registersAt(view: DataView, offset: number): Registers {
  const words = BigUint64Array.from({ length: registerWords }, (_, index) =>
    view.getBigUint64(offset + index * 8, true),
  )
  return toRegisters(words)
}
