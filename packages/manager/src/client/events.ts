import type { IncomingMessage } from 'node:http'

import { ManagerError } from '../supervisor/errors.ts'
import type { ManagerEvent } from '../supervisor/interface.ts'
import type { Transport } from './transport.ts'

/** Characters of one event. */
const maxEventLength = 1024 * 1024

/**
 * The events after `since`, or from now on. A daemon that tells a slow reader to come again is
 * asked from there; one that ends is an error.
 */
export async function* eventsOf(
  transport: Transport,
  since?: number,
): AsyncGenerator<ManagerEvent> {
  for (let last = since; ;) {
    const headers = last === undefined ? {} : { 'last-event-id': String(last) }
    const response = await transport.answer({ method: 'GET', path: '/v1/events', headers })
    try {
      for await (const { id, data } of messagesIn(response)) {
        last = id ?? last
        if (data !== '') yield JSON.parse(data)
      }
    } catch (cause) {
      if (cause instanceof ManagerError) throw cause
      throw new ManagerError('ERR_DAEMON', 'the daemon broke off', { cause })
    } finally {
      response.destroy()
    }
  }
}

/** One message of a stream of events: what it says, and where it stands. */
interface Message {
  readonly id: number | undefined
  readonly data: string
}

async function* messagesIn(response: IncomingMessage): AsyncGenerator<Message> {
  let text = ''
  response.setEncoding('utf8')
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop()!
    for (const block of blocks) yield messageOf(block)
    if (text.length > maxEventLength)
      throw new ManagerError('ERR_LIMIT', `an event has more than ${maxEventLength} characters`)
  }
}

function messageOf(block: string): Message {
  const fields = (name: string): string[] =>
    block.split('\n').flatMap((line) => (line.startsWith(name) ? [line.slice(name.length)] : []))
  const id = fields('id: ').at(-1)
  return { id: id === undefined ? undefined : Number(id), data: fields('data: ').join('\n') }
}
