// The words of options, for files that need no addon.

/** The modes of a first instruction. */
export const modes = ['real', 'protected', 'paged32', 'long'] as const

/** The rings of a first instruction. */
export const privileges = ['kernel', 'user'] as const

/** The formats of an image. */
export const formats = ['flat', 'elf', 'multiboot', 'pvh', 'bzimage'] as const
