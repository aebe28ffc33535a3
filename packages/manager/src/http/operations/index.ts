import type { Operation } from '../operation.ts'
import { objectOf } from '../schemas.ts'
import { machines } from './machines.ts'
import { runs } from './runs.ts'
import { states } from './states.ts'
import { views } from './views.ts'

const service: readonly Operation[] = [
  {
    kind: 'plain',
    id: 'getVersion',
    method: 'GET',
    path: '/v1/version',
    summary: "The manager's version, and the number of the last event",
    answer: objectOf({ version: { type: 'string' }, lastSeq: { type: 'integer' } }),
    handle: ({ version, supervisor }) => ({ version, lastSeq: supervisor.lastSeq }),
  },
  {
    kind: 'events',
    id: 'listenForEvents',
    method: 'GET',
    path: '/v1/events',
    summary: 'What happens to machines, as server-sent events; Last-Event-ID says from where on',
    query: { since: { type: 'integer', minimum: 0 } },
    errors: [410],
  },
]

/** All that the API can do. */
export const operations: readonly Operation[] = [
  ...service,
  ...machines,
  ...runs,
  ...views,
  ...states,
]
