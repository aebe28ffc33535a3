import { ManagerError } from '../../supervisor/errors.ts'
import type { Call, Operation } from '../operation.ts'
import { arrayOf, nameSchema, objectOf, ref } from '../schemas.ts'

const definition = {
  definition: {
    type: 'object',
    description: "What the machine is made of: vmexit's machine.schema.json",
  },
  'base?': {
    type: 'string',
    description: 'The folder for relative paths, itself absolute',
    pattern: '^/',
    maxLength: 4096,
  },
  'persistent?': { type: 'boolean', description: 'Whether it is kept when it ends; default true' },
  'uuid?': nameSchema,
} as const

const define = ({ supervisor, from, body }: Call) => {
  const { definition: given, ...options } = body
  return supervisor.define(given, { ...options, from })
}

/** What is known of machines. */
export const machines: readonly Operation[] = [
  {
    kind: 'plain',
    id: 'listMachines',
    method: 'GET',
    path: '/v1/machines',
    summary: 'All machines by name, and the number of the last event',
    answer: objectOf({ machines: arrayOf(ref('Machine')), lastSeq: { type: 'integer' } }),
    handle: ({ supervisor }) => ({ machines: supervisor.list(), lastSeq: supervisor.lastSeq }),
  },
  {
    kind: 'plain',
    id: 'defineMachine',
    method: 'POST',
    path: '/v1/machines',
    summary: 'Stores a definition; one of a name that is there replaces it from its next start on',
    body: objectOf(definition),
    answer: ref('Machine'),
    errors: [403, 409],
    handle: define,
  },
  {
    kind: 'plain',
    id: 'getMachine',
    method: 'GET',
    path: '/v1/machines/{name}',
    summary: 'One machine',
    answer: ref('Machine'),
    handle: ({ supervisor, name }) => supervisor.find(name),
  },
  {
    kind: 'plain',
    id: 'putMachine',
    method: 'PUT',
    path: '/v1/machines/{name}',
    summary: 'Stores the definition of the machine of this name',
    body: objectOf(definition),
    answer: ref('Machine'),
    errors: [403, 409],
    handle: (call) => {
      const { name = call.name } = call.body.definition
      if (name === call.name)
        return define({ ...call, body: { ...call.body, definition: named(call) } })
      const message = `the definition's name is not ${call.name}, that of the path`
      throw new ManagerError('ERR_INVALID_OPTION', message)
    },
  },
  {
    kind: 'plain',
    id: 'undefineMachine',
    method: 'DELETE',
    path: '/v1/machines/{name}',
    summary: 'Forgets a machine that does not run, with its text, snapshots and saved state',
    answer: undefined,
    errors: [409],
    handle: ({ supervisor, name }) => supervisor.undefine(name),
  },
  {
    kind: 'plain',
    id: 'setAutostart',
    method: 'PUT',
    path: '/v1/machines/{name}/autostart',
    summary: 'Whether the daemon starts it when it starts',
    body: objectOf({ autostart: { type: 'boolean' } }),
    answer: ref('Machine'),
    handle: ({ supervisor, name, body }) => supervisor.setAutostart(name, body.autostart),
  },
]

const named = ({ name, body }: Call): object => ({ name, ...body.definition })
