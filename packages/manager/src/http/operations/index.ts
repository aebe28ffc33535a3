import { ManagerError } from '../../supervisor/errors.ts'
import { maxStatsIntervalMs, statsIntervalMs } from '../limits.ts'
import type { Call, Operation } from '../operation.ts'
import type { Schema } from '../schema.ts'
import { objectOf } from '../schemas.ts'
import { machines } from './machines.ts'
import { runs } from './runs.ts'
import { states } from './states.ts'
import { views } from './views.ts'

const since: Schema = { type: 'integer', minimum: 0 }
const interval: Schema = {
  type: 'integer',
  minimum: statsIntervalMs,
  maximum: maxStatsIntervalMs,
}

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
    of: 'events',
    id: 'listenForEvents',
    method: 'GET',
    path: '/v1/events',
    summary: 'What happens to machines, as server-sent events; Last-Event-ID says from where on',
    query: { since },
    errors: [410],
  },
  {
    kind: 'events',
    of: 'stats',
    id: 'listenForStats',
    method: 'GET',
    path: '/v1/stats',
    summary: 'What all machines that run do in a second, again and again, as server-sent events',
    query: { interval },
  },
  {
    kind: 'events',
    of: 'live',
    id: 'listenForAll',
    method: 'GET',
    path: '/v1/live',
    summary: 'The events and, as events of the type `stats`, the stats, in one stream',
    query: { since, interval },
    errors: [410],
  },
  {
    kind: 'plain',
    id: 'makeWebUrl',
    method: 'POST',
    path: '/v1/web-token',
    summary: 'A URL that lets one browser in to the web screen, once; at the socket only',
    answer: objectOf({ url: { type: 'string' } }),
    errors: [501],
    handle: makeWebUrl,
  },
]

function makeWebUrl({ from, webUrl }: Call): { readonly url: string } {
  if (from !== 'local')
    throw new ManagerError('ERR_FORBIDDEN', 'only who can reach the socket may let browsers in')
  if (!webUrl) {
    const message = 'this daemon has no web screen; `vmexit daemon --web` has one'
    throw new ManagerError('ERR_NOT_SUPPORTED', message)
  }
  return { url: webUrl() }
}

/** All that the API can do. */
export const operations: readonly Operation[] = [
  ...service,
  ...machines,
  ...runs,
  ...views,
  ...states,
]
