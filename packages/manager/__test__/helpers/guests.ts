// Definitions of machines whose kernels are a few instructions.
import { kernel, powerOff, printOk } from '../../../../__test__/fixtures/kernels.ts'

/** Prints "ok" and waits for interrupts that do not come. */
const wait = `${printOk}\n f4 eb fd ; 1: hlt; jmp 1b`

/** Prints "ok" and sends back what it gets. */
const echo = `${printOk}
  66 ba fd 03 ; 1: mov $0x3fd,%dx
  ec a8 01    ; 2: in (%dx),%al; test $1,%al
  74 fb       ; jz 2b
  66 ba f8 03 ; mov $0x3f8,%dx
  ec ee       ; in (%dx),%al; out %al,(%dx)
  eb ef       ; jmp 1b
`

const listings = { wait, echo, end: printOk + powerOff }

/** A machine that waits, sends back, or ends at once, after "ok". */
export function machine(name: string, what: keyof typeof listings = 'wait', more: object = {}) {
  const file = kernel(`${what}.elf`, listings[what])
  return { name, pc: true, memoryBytes: 16 * 1024 * 1024, payload: { file }, ...more }
}
