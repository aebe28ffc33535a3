/** What a machine does. */
export type State = 'defined' | 'starting' | 'running' | 'paused' | 'stopping' | 'ended' | 'crashed'

/** What is known of a crash of the guest's own. */
export interface Crash {
  readonly sentence: string
  readonly registers?: Readonly<Record<string, string>>
  readonly explanation?: string
}

/** A machine, as the API tells. */
export interface Machine {
  readonly name: string
  readonly uuid: string
  readonly state: State
  readonly reason?: string
  readonly exitCode?: number
  readonly crash?: Crash
  readonly pid?: number
  readonly startedAt?: string
  readonly autostart: boolean
  readonly saved: boolean
  readonly definition: Readonly<Record<string, unknown>>
}

/** A snapshot, as the API tells. */
export interface Snapshot {
  readonly name: string
  readonly at: string
  readonly bytes: number
  readonly state: string
  readonly description?: string
}

/** Something that happened. */
export interface MachineEvent {
  readonly seq: number
  readonly at: string
  readonly machine: string
  readonly type: string
  readonly reason?: string
}

/** Why the daemon did not do something. */
export class ApiError extends Error {
  /** The status of HTTP; 0 when there was no answer. */
  readonly status: number

  /** Makes one. */
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** A path of the API below a machine; names are one segment each. */
export function machinePath(name: string, ...rest: readonly string[]): string {
  return ['/v1/machines', ...[name, ...rest].map(encodeURIComponent)].join('/')
}

/** The address of a WebSocket of a machine. */
export function socketUrl(name: string, what: 'serial' | 'screen'): string {
  const { protocol, host } = location
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}${machinePath(name, what)}`
}

async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  const sent =
    body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  let answer: Response
  try {
    answer = await fetch(path, { method, credentials: 'same-origin', ...sent })
  } catch {
    throw new ApiError(0, 'The daemon does not answer')
  }
  if (answer.ok) return answer
  const text = await answer.text()
  throw new ApiError(answer.status, messageOf(text) ?? `The daemon answered ${answer.status}`)
}

function messageOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message
  } catch {
    return undefined
  }
}

/** Asks for something; the answer's JSON, undefined without one. */
export async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await ask(method, path, body)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

/** Asks for bytes. */
export async function apiBytes(path: string): Promise<ArrayBuffer> {
  return await (await ask('GET', path)).arrayBuffer()
}
