// What bodies and answers look like.
import type { Schema } from './schema.ts'

/** A name of a machine, its UUID, or a name of a snapshot. */
export const nameSchema: Schema = { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' }

const text: Schema = { type: 'string' }
const flag: Schema = { type: 'boolean' }
const count: Schema = { type: 'integer', minimum: 0 }
const rate: Schema = { type: 'number', minimum: 0 }
const time: Schema = { type: 'string', description: 'ISO 8601, UTC' }

/** An object with these properties; those whose names end in `?` may be missing. */
export function objectOf(
  shape: Readonly<Record<string, Schema>>,
  more: boolean | Schema = false,
): Schema {
  const entries = Object.entries(shape)
  return {
    type: 'object',
    properties: Object.fromEntries(
      entries.map(([key, schema]) => [key.replace(/\?$/, ''), schema]),
    ),
    required: entries.map(([key]) => key).filter((key) => !key.endsWith('?')),
    additionalProperties: more,
  }
}

/** All items of one schema. */
export const arrayOf = (items: Schema): Schema => ({ type: 'array', items })

/** A schema that the document names. */
export const ref = (name: keyof typeof schemas): Schema => ({
  $ref: `#/components/schemas/${name}`,
})

/** What the document names; the answers are made of it. */
export const schemas = {
  MachineDefinition: {
    type: 'object',
    description:
      "What a machine is made of: vmexit's machine.schema.json, with its name and its manager key",
  },
  Machine: objectOf({
    name: nameSchema,
    uuid: text,
    state: {
      type: 'string',
      enum: ['defined', 'starting', 'running', 'paused', 'stopping', 'ended', 'crashed'],
    },
    'reason?': text,
    'exitCode?': { type: 'integer' },
    'crash?': objectOf({
      sentence: text,
      'registers?': { type: 'object', additionalProperties: text },
      'explanation?': text,
    }),
    'pid?': count,
    'startedAt?': time,
    'id?': count,
    persistent: flag,
    autostart: flag,
    saved: flag,
    definition: { $ref: '#/components/schemas/MachineDefinition' },
    'xml?': text,
  }),
  Stats: objectOf({
    at: time,
    cpuMs: { type: 'number', minimum: 0 },
    memoryBytes: count,
    rssBytes: count,
    vcpus: count,
    exits: count,
    exitsByReason: { type: 'object', additionalProperties: count },
    routes: arrayOf(objectOf({ route: text, reads: count, writes: count })),
  }),
  Rates: objectOf({
    at: time,
    machines: {
      type: 'object',
      additionalProperties: objectOf({
        cpu: rate,
        rssBytes: count,
        memoryBytes: count,
        exitsPerSecond: rate,
        exitsByReason: { type: 'object', additionalProperties: rate },
        routes: arrayOf(objectOf({ route: text, perSecond: rate })),
      }),
    },
  }),
  Snapshot: objectOf({
    name: nameSchema,
    at: time,
    bytes: count,
    state: { type: 'string', enum: ['running', 'paused'] },
    'description?': text,
  }),
  Event: objectOf(
    {
      seq: count,
      at: time,
      machine: text,
      uuid: text,
      type: {
        type: 'string',
        enum: [
          'defined',
          'undefined',
          'starting',
          'running',
          'paused',
          'resumed',
          'stopping',
          'ended',
          'crashed',
          'reset',
          'restarting',
          'autostart',
          'snapshot',
          'restored',
        ],
      },
      'reason?': text,
      'exitCode?': { type: 'integer' },
    },
    true,
  ),
  Error: objectOf({ error: objectOf({ code: text, message: text }) }),
} satisfies Record<string, Schema>
