import type { CpuMode } from '../native/words.ts'
import type { NativeOutcome } from '../native/seam.ts'

/**
 * Where a vCPU was when its guest crashed or ran out of time.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
 * const { where } = vm.runSync({ timeoutMs: 5 })
 * console.log(where?.rip, where?.mode, where?.bytes.subarray(0, 2)) // 0n long Uint8Array(2) [ 235, 254 ]
 * ```
 */
export interface Where {
  /** Index of the vCPU: the one that ended the run; after a time-out, which none of them did, the first. */
  readonly vcpu: number
  /** The next instruction, relative to the base of CS. */
  readonly rip: bigint
  /** The selector in CS. */
  readonly cs: number
  /**
   * The mode at that time (Intel SDM vol. 3A §2.2): one in which a machine can start, `'paged32'` with pages of any size, or
   * `'compatibility'`, long mode with a segment of 16 or 32 bits, or `'virtual-8086'`.
   */
  readonly mode: CpuMode | 'compatibility' | 'virtual-8086'
  /** What memory has at RIP: 15 bytes, the longest instruction, or less where the mapping or memory ends. */
  readonly bytes: Uint8Array
}

/** As users see it. */
export function toWhere(native: NativeOutcome['whereabouts']): Where | null {
  if (!native) return null
  const { vcpu, rip, cs, bytes } = native
  return { vcpu, rip, cs, mode: native.mode as Where['mode'], bytes }
}

/** A clause. */
export function describeWhere({ vcpu, rip, cs, mode, bytes }: Where): string {
  const hex = Buffer.from(bytes).toString('hex')
  const code = hex === '' ? 'where no memory can be read' : `instruction bytes ${hex}`
  const place = `RIP 0x${rip.toString(16)} (${mode} mode, CS 0x${cs.toString(16)})`
  return `vCPU ${vcpu} is at ${place}, ${code}`
}
