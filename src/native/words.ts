import type {
  NativeEnding,
  NativeExitReason,
  NativeFaults,
  NativeFormat,
  NativeMode,
  NativePrivilege,
} from './seam.ts'

/**
 * The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2): `'real'`,
 * 16-bit real-address mode; `'protected'`, 32 bits with flat segments; `'paged32'`, the same with 4
 * MiB pages; `'long'`, 64 bits with 2 MiB pages. `npx vmexit doctor` prints which of them this
 * machine runs.
 *
 * @category Machine
 */
export type CpuMode = NativeMode

/**
 * With what privilege the guest starts: CPL 0, or CPL 3 with IOPL 3, which allows port I/O (long
 * mode only).
 *
 * @category Machine
 */
export type Privilege = NativePrivilege

/**
 * What becomes of a fault that the guest has no handler for: `'report'`, the run ends with reason
 * `'fault'`; `'off'`, with `'shutdown'`.
 *
 * @category Faults
 */
export type Faults = NativeFaults

/**
 * The format of an image, which determines where its bytes go and where it starts.
 *
 * @category Machine
 */
export type ImageFormat = NativeFormat

/**
 * Why KVM returned, in the kernel's words (KVM API §5, `exit_reason` of `struct kvm_run`). Each of
 * the `…Exit` types says which `KVM_EXIT_…` it is.
 *
 * @category Exits
 */
export type ExitReason = NativeExitReason

/**
 * Why a run ended: an unanswered exit, `stop()`, the time-out, a write to a `stop` route, a PC that
 * the guest turned off or reset, `reset()`, or a fault that it does not handle. A well-behaved
 * guest ends with `'hlt'`, `'exit-port'` or `'power-off'`.
 *
 * @category Results
 */
export type EndReason = ExitReason | NativeEnding

export { endings, exitReasons, faults, formats, modes, privileges } from './words.generated.ts'
