import type { NativeFault } from '../native/seam.ts'

/** Names of exceptions, by vector (Intel SDM vol. 3A table 6-1; AMD APM vol. 2 table 8-1). */
const names: Readonly<Record<number, string>> = {
  0: '#DE',
  1: '#DB',
  2: 'NMI',
  3: '#BP',
  4: '#OF',
  5: '#BR',
  6: '#UD',
  7: '#NM',
  8: '#DF',
  10: '#TS',
  11: '#NP',
  12: '#SS',
  13: '#GP',
  14: '#PF',
  16: '#MF',
  17: '#AC',
  18: '#MC',
  19: '#XM',
  20: '#VE',
  21: '#CP',
  28: '#HV',
  29: '#VC',
  30: '#SX',
}

/**
 * A fault for which the guest has no handler (Intel SDM vol. 3A §6.3). Registers are those at its
 * instruction, and a further run tries it again; after a trap, as of `int3`, it goes on.
 *
 * @example
 * ```ts
 * const image = Uint8Array.of(0x8b, 0x04, 0x25, 0, 0, 0, 0xfe) // mov eax, [0xfe000000]
 * using vm = new VirtualMachine({ mode: 'long', privilege: 'user', payload: { image } })
 * const { reason, fault } = vm.runSync()
 * console.log(reason, fault?.name, fault?.rip) // fault #PF 0n
 * ```
 *
 * @category Faults
 */
export interface Fault {
  /** The exception's vector, 0 to 31. */
  readonly vector: number
  /** Its name, `'#PF'`; `'#15'` for a vector that has none. */
  readonly name: string
  /** What the processor pushed as the error code; absent if the vector has none. */
  readonly errorCode?: number
  /** The linear address of a page fault (CR2); absent with other vectors. */
  readonly address?: bigint
  /** The instruction, relative to the base of CS; of a trap the one after it. */
  readonly rip: bigint
}

/** The name of an exception. */
export function exceptionName(vector: number): string {
  return names[vector] ?? `#${vector}`
}

/** As users see it. */
export function toFault({ vector, errorCode, address, rip }: NativeFault): Fault {
  return {
    vector,
    name: exceptionName(vector),
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(address === undefined ? {} : { address }),
    rip,
  }
}

/** A clause. */
export function describeFault({ name, errorCode, address }: Fault): string {
  const code = errorCode === undefined ? '' : `, error code 0x${errorCode.toString(16)}`
  const at = address === undefined ? '' : `, address 0x${address.toString(16)}`
  return `the guest had a fault that it does not handle (${name}${code}${at})`
}
