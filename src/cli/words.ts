import { templates } from './new/templates.ts'
import { faults, formats, modes, privileges } from '../native/words.ts'

/** The values of options that take a word, as parsing, help and completion know them. */
export const words = {
  modes,
  privileges,
  faults,
  formats,
  networks: ['passt'],
  templates: templates.map(({ name }) => name),
  shells: ['bash', 'zsh', 'fish'],
} as const
