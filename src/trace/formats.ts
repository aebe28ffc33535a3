import { headerOf } from './binary.ts'
import { type Records, type TracedExit, exitAt, recordBytes, vcpuAt } from './record.ts'

/**
 * How a file is written.
 *
 * @category Debugging
 */
export type TraceFormat = 'jsonl' | 'chrome' | 'binary'

/** All of them. */
export const formats = ['jsonl', 'chrome', 'binary'] as const

/** Records that become text at once; the event loop has its turn after that. */
const atOnce = 256

/** What has one track in a picture: vCPUs, and after them routes. */
const routeTracks = 1000

/** The exits, oldest first. */
export function* exitsOf({ bytes, registers }: Records): Generator<TracedExit> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const each = recordBytes(registers)
  for (let offset = 0; offset < bytes.length; offset += each) yield exitAt(view, offset, registers)
}

/** The file, piece by piece. */
export const writers: Record<TraceFormat, (records: Records) => Iterable<string | Uint8Array>> = {
  *binary(records) {
    yield headerOf(records)
    yield records.bytes
  },
  *jsonl(records) {
    for (const exits of chunks(records)) {
      yield exits.map((exit) => `${JSON.stringify(exit, hexadecimal)}\n`).join('')
    }
  },
  *chrome(records) {
    const { vcpus, dropped } = records
    const tracks = new Tracks()
    yield `{"displayTimeUnit":"ns","otherData":{"dropped":${dropped}},"traceEvents":[\n`
    yield tracks.processName()
    for (let vcpu = 0; vcpu < vcpus; vcpu += 1) yield tracks.name(vcpu, `vCPU ${vcpu}`)
    const own = Array.from({ length: vcpus }, (_, vcpu) => eventsOf(records, vcpu))
    let [text, count] = ['', 0]
    for (const event of inOrder(own)) {
      text += tracks.draw(event)
      count += 1
      if (count % atOnce !== 0) continue
      yield text
      text = ''
    }
    yield `${text}\n]}\n`
  },
}

function* chunks(records: Records): Generator<TracedExit[]> {
  let exits: TracedExit[] = []
  for (const exit of exitsOf(records)) {
    exits.push(exit)
    if (exits.length === atOnce) {
      yield exits
      exits = []
    }
  }
  yield exits
}

/** 64 bits as text that `BigInt()` takes. */
function hexadecimal(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? hex(value) : value
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`
}

/** An event in the format of Chrome's trace viewer, which Perfetto reads; `ts` in microseconds. */
interface Event {
  readonly ph: 'B' | 'E' | 'i'
  readonly name: string
  readonly tid: number
  readonly ts: number
  readonly [key: string]: unknown
}

/** Slices of guest and host on a vCPU's track, and marks on those of routes, in order. */
function* eventsOf({ bytes, registers }: Records, vcpu: number): Generator<Event> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const each = recordBytes(registers)
  for (let offset = 0; offset < bytes.length; offset += each)
    if (vcpuAt(view, offset) === vcpu) yield* eventsOfExit(exitAt(view, offset, registers))
}

function* eventsOfExit(exit: TracedExit): Generator<Event> {
  const { timeNs, guestNs, hostNs, vcpu: tid, route } = exit
  const name = nameOf(exit)
  const ts = timeNs / 1000
  if (guestNs > 0) {
    yield { ph: 'B', name: 'guest', tid, ts: (timeNs - guestNs) / 1000 }
    yield { ph: 'E', name: 'guest', tid, ts }
  }
  yield { ph: 'B', name, tid, ts, args: argsOf(exit) }
  if (route !== undefined) yield { ph: 'i', name, s: 't', tid: routeTracks + route, ts }
  yield { ph: 'E', name, tid, ts: (timeNs + hostNs) / 1000 }
}

/** Those of all vCPUs by their times: readers of the format need not sort them. */
function* inOrder(streams: readonly Generator<Event>[]): Generator<Event> {
  const next = (stream: Generator<Event>): Event | undefined => stream.next().value ?? undefined
  const heads = streams.map(next)
  for (;;) {
    let first: Event | undefined
    let from = 0
    for (const [index, head] of heads.entries()) {
      if (!head || (first && head.ts >= first.ts)) continue
      first = head
      from = index
    }
    if (!first) return
    yield first
    heads[from] = next(streams[from]!)
  }
}

/** The events as text, each route's track with its name before its first one. */
class Tracks {
  readonly #routes = new Set<number>()
  #comma = ''

  processName(): string {
    return this.#text({ ph: 'M', name: 'process_name', tid: 0, args: { name: 'vmexit' } })
  }

  name(tid: number, name: string): string {
    return (
      this.#text({ ph: 'M', name: 'thread_name', tid, args: { name } }) +
      this.#text({ ph: 'M', name: 'thread_sort_index', tid, args: { sort_index: tid } })
    )
  }

  draw(event: Event): string {
    const route = event.tid - routeTracks
    if (event.ph !== 'i' || this.#routes.has(route)) return this.#text(event)
    this.#routes.add(route)
    return this.name(event.tid, `route ${route}`) + this.#text(event)
  }

  #text(event: object): string {
    const text = `${this.#comma}${JSON.stringify({ pid: 1, ...event })}`
    this.#comma = ',\n'
    return text
  }
}

function nameOf({ reason, port, gpa }: TracedExit): string {
  const address = port ?? gpa
  return address === undefined ? reason : `${reason} ${hex(address)}`
}

function argsOf({ size, count, value, route, rip, answered }: TracedExit): object {
  return {
    ...(size !== undefined && { size, count }),
    ...(value !== undefined && { value: hex(value) }),
    ...(route !== undefined && { route }),
    ...(rip !== undefined && { rip: hex(rip) }),
    ...(!answered && { answered }),
  }
}
