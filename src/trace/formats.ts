import { headerOf } from './binary.ts'
import { type Records, type TracedExit, exitAt, recordBytes } from './record.ts'

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
    for (const exits of chunks(records)) yield exits.map((exit) => tracks.draw(exit)).join('')
    yield '\n]}\n'
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

/** Events in the format of Chrome's trace viewer, which Perfetto reads. */
class Tracks {
  readonly #routes = new Set<number>()
  #comma = ''

  processName(): string {
    return this.#event({ ph: 'M', name: 'process_name', tid: 0, args: { name: 'vmexit' } })
  }

  name(tid: number, name: string): string {
    return (
      this.#event({ ph: 'M', name: 'thread_name', tid, args: { name } }) +
      this.#event({ ph: 'M', name: 'thread_sort_index', tid, args: { sort_index: tid } })
    )
  }

  /** Slices of guest and host on the vCPU's track, and a mark on that of the route. */
  draw(exit: TracedExit): string {
    const { timeNs, guestNs, hostNs, vcpu: tid, route } = exit
    const name = nameOf(exit)
    const slice = (of: string, from: number, until: number, args?: object): string =>
      this.#event({ ph: 'B', name: of, tid, ts: from / 1000, ...(args && { args }) }) +
      this.#event({ ph: 'E', name: of, tid, ts: until / 1000 })
    let text = guestNs === 0 ? '' : slice('guest', timeNs - guestNs, timeNs)
    text += slice(name, timeNs, timeNs + hostNs, argsOf(exit))
    if (route === undefined) return text
    const track = routeTracks + route
    if (!this.#routes.has(route)) {
      this.#routes.add(route)
      text += this.name(track, `route ${route}`)
    }
    return text + this.#event({ ph: 'i', name, s: 't', tid: track, ts: timeNs / 1000 })
  }

  #event(event: { ph: string; name: string; tid: number; [key: string]: unknown }): string {
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
