import type { NativeWhereabouts } from '../native/seam.ts'

/**
 * Where a vCPU was when its guest crashed or ran out of time.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
 * const { where } = vm.runSync({ timeoutMs: 5 })
 * console.log(where?.rip, where?.mode) // 0n long
 * console.log(where?.bytes.subarray(0, 2)) // Uint8Array(2) [ 235, 254 ]
 * ```
 *
 * @category Results
 */
export interface Where extends Readonly<NativeWhereabouts> {}

/** As users see it. */
export function toWhere(native: NativeWhereabouts | undefined): Where | null {
  if (!native) return null
  const { vcpu, rip, cs, mode, bytes } = native
  return { vcpu, rip, cs, mode, bytes }
}

/** A clause. */
export function describeWhere({ vcpu, rip, cs, mode, bytes }: Where): string {
  const hex = Buffer.from(bytes).toString('hex')
  const code = hex === '' ? 'where no memory can be read' : `instruction bytes ${hex}`
  const place = `RIP 0x${rip.toString(16)} (${mode} mode, CS 0x${cs.toString(16)})`
  return `vCPU ${vcpu} is at ${place}, ${code}`
}
