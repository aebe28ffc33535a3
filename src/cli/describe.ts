import type { Exit } from '../exit.ts'

/** An exit in one line. */
export function describeExit(exit: Exit): string {
  const hex = (value: number): string => `0x${value.toString(16)}`
  switch (exit.reason) {
    case 'pio-out':
    case 'pio-in':
      return `an unclaimed ${exit.reason} at port ${hex(exit.port)}, ${exit.size} bytes; claim it with --port`
    case 'mmio-write':
    case 'mmio-read':
      return `an unclaimed ${exit.reason} at gpa ${hex(exit.gpa)}, ${exit.size} bytes`
    case 'internal-error':
      return `internal-error, suberror ${exit.suberror}, instruction ${Buffer.from(exit.instructionBytes).toString('hex') || 'unknown'}`
    case 'shutdown':
      return 'shutdown (triple fault)'
    default:
      return exit.reason
  }
}
