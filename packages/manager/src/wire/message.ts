/** What stands in a line: a request, an answer, or an event. */
export type Message =
  | {
      readonly kind: 'request'
      readonly id: number
      readonly method: string
      readonly params: Params
    }
  | { readonly kind: 'answer'; readonly id: number; readonly result: Record<string, unknown> }
  | {
      readonly kind: 'refusal'
      readonly id: number
      readonly code: string
      readonly message: string
    }
  | { readonly kind: 'event'; readonly event: WireEvent }

/** Parameters, of which nothing is known but that they are an object. */
export type Params = Readonly<Record<string, unknown>>

/** What a machine tells without being asked. */
export interface WireEvent {
  /** What happened. */
  readonly event: string
  /** What else it says. */
  readonly [more: string]: unknown
}

/** What a line says, or undefined if it is rubbish. */
export function readMessage(line: Buffer): Message | undefined {
  const value = parse(line)
  if (!isObject(value)) return undefined
  const { id, method, params, result, error, event } = value
  if (typeof event === 'string') return { kind: 'event', event: value as unknown as WireEvent }
  if (!Number.isSafeInteger(id)) return undefined
  const number = id as number
  if (typeof method === 'string') {
    const given = params ?? {}
    return isObject(given) ? { kind: 'request', id: number, method, params: given } : undefined
  }
  if (isObject(error)) {
    const { code, message } = error
    if (typeof code !== 'string' || typeof message !== 'string') return undefined
    return { kind: 'refusal', id: number, code, message }
  }
  return isObject(result) ? { kind: 'answer', id: number, result } : undefined
}

/** Of a message's parts, as bytes of its line. */
export function writeMessage(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`)
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString())
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
