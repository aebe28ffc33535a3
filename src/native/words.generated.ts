// Made of index.d.ts by scripts/words.mjs.
import type { NativeEnding, NativeExitReason, NativeFaults, NativeFormat, NativeMode, NativePrivilege } from './seam.ts'

/** Every ending, in the seam's order. */
export const endings: readonly NativeEnding[] = ['stopped', 'timeout', 'exit-port', 'power-off', 'reset', 'fault', 'step', 'breakpoint', 'watchpoint', 'instruction-limit']
/** Every exit reason, in the seam's order. */
export const exitReasons: readonly NativeExitReason[] = ['pio-out', 'pio-in', 'mmio-write', 'mmio-read', 'hlt', 'shutdown', 'fail-entry', 'internal-error', 'debug', 'system-event', 'unknown']
/** Every word for faults, in the seam's order. */
export const faults: readonly NativeFaults[] = ['report', 'off']
/** Every format, in the seam's order. */
export const formats: readonly NativeFormat[] = ['flat', 'elf', 'multiboot', 'multiboot2', 'pvh', 'bzimage', 'firmware']
/** Every mode, in the seam's order. */
export const modes: readonly NativeMode[] = ['real', 'protected', 'paged32', 'long']
/** Every privilege, in the seam's order. */
export const privileges: readonly NativePrivilege[] = ['kernel', 'user']
