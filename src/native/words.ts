import type {
  NativeEnding,
  NativeExitReason,
  NativeFormat,
  NativeMode,
  NativePrivilege,
} from './seam.ts'

/**
 * The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2): `'real'`, 16-bit
 * real-address mode; `'protected'`, 32 bits with flat segments; `'paged32'`, the same with 4 MiB pages;
 * `'long'`, 64 bits with 2 MiB pages. Which of them this machine runs is what `npx vmexit doctor` prints.
 */
export type CpuMode = NativeMode

/** With what privilege the guest starts: CPL 0, or CPL 3 with IOPL 3, which allows port I/O (long mode only). */
export type Privilege = NativePrivilege

/** How an image says where its bytes go and where it starts. */
export type ImageFormat = NativeFormat

/**
 * Why KVM returned, in the kernel's words (KVM API §5, `exit_reason` of `struct kvm_run`). Each of the
 * `…Exit` types says which `KVM_EXIT_…` it is.
 */
export type ExitReason = NativeExitReason

/**
 * Why a run ended: an exit that nobody answered, `stop()`, the time-out, a write to a `stop` route, or a
 * PC that the guest turned off or reset. `'hlt'`, `'exit-port'` and `'power-off'` are how a well-behaved guest ends.
 */
export type EndReason = ExitReason | NativeEnding

/** All words of a type, in order; one that is missing, or that the seam does not have, does not compile. */
function all<T extends string>(words: Readonly<Record<T, true>>): readonly T[] {
  return Object.keys(words) as T[]
}

/** Every mode. */
export const modes = all<CpuMode>({ real: true, protected: true, paged32: true, long: true })
/** Every privilege. */
export const privileges = all<Privilege>({ kernel: true, user: true })
/** Every format. */
export const formats = all<ImageFormat>({
  flat: true,
  elf: true,
  multiboot: true,
  pvh: true,
  bzimage: true,
})
