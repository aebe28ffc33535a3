import type { EventsOperation, Operation } from './operation.ts'
import { operations } from './operations/index.ts'
import type { Schema } from './schema.ts'
import { nameSchema, ref, schemas } from './schemas.ts'

/** Statuses of errors that every operation may have. */
const everywhere = [400, 401, 403, 429, 500, 503, 504]

const meanings: Readonly<Record<number, string>> = {
  400: 'Something in the request is wrong',
  401: 'Over TCP: the token is missing or wrong',
  403: 'Not allowed',
  404: 'There is none of this name',
  409: 'It is not in a state for this, or there is another one',
  410: 'The events are no longer kept',
  413: 'The body is too large',
  415: 'The body is not JSON',
  426: 'This is a WebSocket',
  429: 'There are too many of something',
  500: 'The manager or the machine failed',
  501: 'The machine has nothing of this kind',
  503: 'Too much waits to be read',
  504: 'It took too long',
}

/** Says what the API is. */
const documentOperation: Operation = {
  kind: 'plain',
  id: 'getDocument',
  method: 'GET',
  path: '/v1/openapi.json',
  summary: 'This document',
  answer: { type: 'object' },
  handle: ({ version }) => documentOf(version),
}

/** The operations, and that which says what they are. */
export const allOperations: readonly Operation[] = [...operations, documentOperation]

/** The OpenAPI document of the table. */
function documentOf(version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of allOperations)
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = described(operation)
  return {
    openapi: '3.1.0',
    info: {
      title: 'vmexit manager',
      version,
      summary: 'Machines that outlive the program that started them',
      license: { name: 'MIT OR Apache-2.0', identifier: 'MIT OR Apache-2.0' },
    },
    servers: [{ url: '/', description: "The daemon's socket, or the loopback by TCP" }],
    security: [{}, { token: [] }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'By TCP; the socket needs none' },
      },
    },
  }
}

function described(operation: Operation): object {
  const { id, summary, path, body, bodyIsOptional = false } = operation
  const parameters = [...parametersIn(path), ...queryOf(operation)]
  if (operation.kind === 'events' && operation.of !== 'stats') parameters.push(lastEventId)
  return {
    operationId: id,
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: !bodyIsOptional, content: json(body) } }),
    responses: { ...answerOf(operation), ...errorsOf(operation) },
  }
}

const lastEventId = {
  name: 'Last-Event-ID',
  in: 'header',
  required: false,
  description: 'As `since`, which it overrules',
  schema: { type: 'integer', minimum: 0 },
}

function parametersIn(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: nameSchema,
  }))
}

function queryOf({ query = {}, requiredQuery = [] }: Operation): object[] {
  return Object.entries(query).map(([name, schema]) => ({
    name,
    in: 'query',
    required: requiredQuery.includes(name),
    schema,
  }))
}

const streamed: Readonly<Record<EventsOperation['of'], { data: string; schema: Schema }>> = {
  events: { data: 'an Event', schema: ref('Event') },
  stats: { data: 'the Rates', schema: ref('Rates') },
  live: {
    data: 'an Event, or the Rates',
    schema: { anyOf: [ref('Event'), ref('Rates')] },
  },
}

function answerOf(operation: Operation): Record<string, object> {
  if (operation.kind === 'socket')
    return { 101: { description: 'The WebSocket; its messages are bytes' } }
  if (operation.kind === 'events') {
    const { data, schema } = streamed[operation.of]
    const description = `A stream; each data is ${data}`
    return { 200: { description, content: { 'text/event-stream': { schema } } } }
  }
  const { answer } = operation
  if (answer === undefined) return { 204: { description: 'Done' } }
  const content = typeof answer === 'string' ? { [answer]: {} } : json(answer)
  return { 200: { description: 'Done', content } }
}

function errorsOf(operation: Operation): Record<string, object> {
  const { kind, path, method, errors = [] } = operation
  const own = [
    ...everywhere,
    ...errors,
    ...(path.includes('{') ? [404] : []),
    ...(method === 'GET' ? [] : [413, 415]),
    ...(kind === 'socket' ? [426] : []),
  ]
  return Object.fromEntries(
    own.map((status) => [status, { description: meanings[status], content: json(ref('Error')) }]),
  )
}

const json = (schema: Schema): object => ({ 'application/json': { schema } })
