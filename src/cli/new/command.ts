import type { Command } from '../command.ts'
import { templates } from './templates.ts'

const width = Math.max(...templates.map(({ name }) => name.length)) + 2

/** `vmexit new`, as far as it can be told without the templates themselves. */
export const newProject: Command = {
  name: 'new',
  summary: 'make a project to begin with',
  usage: 'TEMPLATE DIR [--json]',
  about:
    'Makes a project of a template in DIR, a new or an empty folder. It runs by npm start, and has tests, which run by ' +
    'npm test. Nothing is downloaded before npm install.',
  argument: { name: 'TEMPLATE', words: templates.map(({ name }) => name), followedBy: 'DIR' },
  options: { json: { about: 'one JSON document on stdout instead of text' } },
  notes: `Templates:
${templates.map(({ name, about, needs }) => `  ${name.padEnd(width)}${about} (needs ${needs.join(' and ')})`).join('\n')}

Example:
  vmexit new kernel-test my-kernel`,
  load: async () => (await import('../commands/new.ts')).runNew,
}
