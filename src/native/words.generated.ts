// Made of index.d.ts by scripts/words.mjs.
import type { NativeFormat, NativeMode, NativePrivilege } from './seam.ts'

/** Every format. */
export const formats: readonly NativeFormat[] = ['flat', 'elf', 'multiboot', 'pvh', 'bzimage']
/** Every mode. */
export const modes: readonly NativeMode[] = ['real', 'protected', 'paged32', 'long']
/** Every privilege. */
export const privileges: readonly NativePrivilege[] = ['kernel', 'user']
