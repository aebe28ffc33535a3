import type { Exit, ShutdownExit } from './exit.ts'
import { type Fault, describeFault, exceptionName } from './fault.ts'
import type { RunHit } from './hit.ts'
import { type Where, describeWhere } from './where.ts'

/** What a sentence about the end of a run is made of. */
export interface Ending {
  readonly reason: string
  readonly exit: Exit | null
  readonly exitCode?: number
  readonly fault?: Fault
  readonly hit?: RunHit
  readonly where: Where | null
}

/** How a run ended, in one sentence. */
export function describeEnding(ending: Ending): string {
  const { reason, exit, exitCode, fault, hit, where } = ending
  const place = where ? `; ${describeWhere(where)}` : ''
  switch (reason) {
    case 'timeout':
      return `the time is up${place}`
    case 'breakpoint':
      return `the guest came to a breakpoint at ${hex(hit?.address ?? 0)}`
    case 'watchpoint':
      return `the guest accessed ${hex(hit?.address ?? 0)}, which is watched`
    case 'step':
      return `the guest was stepped to ${hex(hit?.address ?? 0)}`
    case 'instruction-limit':
      return `the guest has executed as many instructions as it may; it is at ${hex(hit?.address ?? 0)}`
    case 'stopped':
      return 'the run was stopped'
    case 'fault':
      return `${fault ? describeFault(fault) : reason}${place}`
    case 'exit-port':
      return `the guest ended the run with code ${exitCode ?? 0}`
    case 'power-off':
      return 'the guest turned the machine off'
    case 'reset':
      return exit ? 'the guest reset the machine' : 'the machine was reset'
    case 'pio-out':
    case 'pio-in':
    case 'mmio-write':
    case 'mmio-read':
      return `${exit ? describeExitRecord(exit) : reason}, which no route claims`
    case 'shutdown':
      // KVM on SVM.
      return `${exit ? describeExitRecord(exit) : reason}${place || '; KVM has reset the vCPU, so nothing tells where it was'}`
    default:
      return `${exit ? describeExitRecord(exit) : reason}${place}`
  }
}

/** An exit, in one clause. */
export function describeExitRecord(exit: Exit): string {
  switch (exit.reason) {
    case 'pio-out':
      return `the guest wrote ${items(exit)} (${exit.count > 1 ? 'first ' : ''}${hex(exit.value)}) to port ${hex(exit.port)}`
    case 'pio-in':
      return `the guest read ${items(exit)} from port ${hex(exit.port)}`
    case 'mmio-write':
      return `the guest wrote ${bytes(exit.size)} (${hex(exit.value)}) to gpa ${hex(exit.gpa)}`
    case 'mmio-read':
      return `the guest read ${bytes(exit.size)} from gpa ${hex(exit.gpa)}`
    case 'hlt':
      return 'the guest halted'
    case 'shutdown':
      return `the guest shut down (${tripleFault(exit)})`
    case 'fail-entry':
      return `the processor refused the guest's state (failed entry, reason ${hex(exit.hardwareEntryFailureReason)})`
    case 'internal-error':
      return `KVM could not go on (internal error, suberror ${exit.suberror}${instruction(exit.instructionBytes)})`
    case 'debug':
      return `a debug exception (vector ${exit.exception}) stopped the guest at ${hex(exit.pc)}`
    case 'system-event':
      return `the guest raised system event ${exit.type}`
    case 'unknown':
      return `KVM returned for reason ${exit.exitReason}, which vmexit does not know`
  }
}

function tripleFault({ vector, registersKept }: ShutdownExit): string {
  if (vector === undefined) return 'triple fault'
  // KVM says 0 of an interrupt without a gate, too; where it keeps registers, the core asks them.
  const other = vector === 0 && !registersKept ? ', or an interrupt' : ''
  return `triple fault after ${exceptionName(vector)}${other}`
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`
}

function bytes(count: number): string {
  return count === 1 ? '1 byte' : `${count} bytes`
}

function items({ size, count }: { size: number; count: number }): string {
  return count === 1 ? bytes(size) : `${count} items of ${bytes(size)}`
}

function instruction(code: Uint8Array): string {
  return code.length === 0 ? '' : `, instruction ${Buffer.from(code).toString('hex')}`
}
