/** The values of options that take a word, as parsing, help and completion know them. */
export const words = {
  modes: ['real', 'protected', 'paged32', 'long'],
  privileges: ['kernel', 'user'],
  formats: ['flat', 'elf', 'multiboot', 'pvh', 'bzimage'],
  shells: ['bash', 'zsh', 'fish'],
} as const
