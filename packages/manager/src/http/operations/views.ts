import type { Operation } from '../operation.ts'
import { objectOf, ref } from '../schemas.ts'

const maxMemoryBytes = 65_536

/** What is to be seen of machines, and what is said to them while they run. */
export const views: readonly Operation[] = [
  {
    kind: 'plain',
    id: 'getStats',
    method: 'GET',
    path: '/v1/machines/{name}/stats',
    summary: 'What it costs and does',
    answer: ref('Stats'),
    errors: [409],
    handle: ({ supervisor, name }) => supervisor.stats(name),
  },
  {
    kind: 'plain',
    id: 'getLog',
    method: 'GET',
    path: '/v1/machines/{name}/log',
    summary: 'The text that it has printed, as far as it is kept; at most the last bytes of it',
    query: { bytes: { type: 'integer', minimum: 0 } },
    answer: 'application/octet-stream',
    handle: ({ supervisor, name, query }) => supervisor.log(name, query['bytes']),
  },
  {
    kind: 'plain',
    id: 'getScreen',
    method: 'GET',
    path: '/v1/machines/{name}/screen.png',
    summary: 'What its screen shows',
    answer: 'image/png',
    errors: [409, 501],
    handle: ({ supervisor, name }) => supervisor.screenshot(name),
  },
  {
    kind: 'plain',
    id: 'readMemory',
    method: 'GET',
    path: '/v1/machines/{name}/memory',
    summary: 'Guest memory from an address on',
    query: {
      gpa: { type: 'integer', minimum: 0 },
      bytes: { type: 'integer', minimum: 1, maximum: maxMemoryBytes },
    },
    requiredQuery: ['gpa', 'bytes'],
    answer: 'application/octet-stream',
    errors: [409],
    handle: ({ supervisor, name, query }) =>
      supervisor.memory(name, query['gpa']!, query['bytes']!),
  },
  {
    kind: 'plain',
    id: 'getSockets',
    method: 'GET',
    path: '/v1/machines/{name}/sockets',
    summary: "The paths of its sockets on the daemon's host",
    answer: objectOf({ serial: { type: 'string' }, 'screen?': { type: 'string' } }),
    errors: [409],
    handle: ({ supervisor, name }) => supervisor.sockets(name),
  },
  {
    kind: 'socket',
    id: 'attachSerial',
    method: 'GET',
    path: '/v1/machines/{name}/serial',
    summary: 'A WebSocket of the console: the end of the kept text, then what comes; sent is typed',
    errors: [409],
    open: ({ supervisor, name }) => supervisor.console(name),
  },
  {
    kind: 'socket',
    id: 'attachScreen',
    method: 'GET',
    path: '/v1/machines/{name}/screen',
    summary: 'A WebSocket of the screen, by RFB',
    errors: [409, 501],
    open: ({ supervisor, name }) => supervisor.screen(name),
  },
]
