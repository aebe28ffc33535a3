import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

import type { ManagerEvent } from '../supervisor/interface.ts'

/** Bytes of `events.jsonl`; when it has them it becomes `events.jsonl.1`, in the place of that. */
const maxEventsBytes = 1024 * 1024

/** Events that are kept in memory. */
const maxEvents = 10_000

/** Letters of a text in an event: an error's message may be long. */
const maxTextLetters = 2_000

/**
 * What numbers jump by when the host was started anew: events of before, which a client has seen,
 * may not have reached the disk, and their numbers are not given twice.
 */
const restartGap = 10_000

/** How events are kept. */
export interface EventLogOptions {
  /** Bytes after which a file is put away; default 1 MiB. */
  readonly maxBytes?: number
  /** Events that are kept in memory; default 10,000. */
  readonly maxEvents?: number
  /** What tells one start of the host from another; default: the kernel's. */
  readonly boot?: string
}

/** What happened, without its number; `at` is now, if it is not given. */
export type NewEvent = Pick<ManagerEvent, 'machine' | 'uuid' | 'type'> & {
  readonly at?: string
  readonly [more: string]: unknown
}

const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants

/**
 * The events of a state directory, in `events.jsonl`: a line each, written before it is told. So
 * the death of the daemon loses none, and numbers go on. A disk that fails costs lines in the file,
 * and nothing else.
 */
export class EventLog {
  readonly #path: string
  readonly #maxBytes: number
  readonly #maxEvents: number
  readonly #boot: string
  #events: ManagerEvent[] = []
  #lastSeq = 0
  #descriptor: number | undefined
  #size = 0
  #failure: Error | undefined

  private constructor(state: string, options: EventLogOptions) {
    this.#path = join(state, 'events.jsonl')
    this.#maxBytes = options.maxBytes ?? maxEventsBytes
    this.#maxEvents = options.maxEvents ?? maxEvents
    this.#boot = options.boot ?? bootId()
  }

  /** Reads them. A line that is torn, as power was lost, is dropped. */
  static open(state: string, options: EventLogOptions = {}): EventLog {
    const log = new EventLog(state, options)
    const lines = [...linesOf(`${log.#path}.1`), ...linesOf(log.#path)]
    const boots = lines.map(({ boot }) => boot).filter((boot) => typeof boot === 'string')
    for (const line of lines) {
      if (isEvent(line) && line.seq > log.#lastSeq) log.#keep(line)
      else if (Number.isSafeInteger(line['reserved']))
        log.#lastSeq = Math.max(log.#lastSeq, Number(line['reserved']))
    }
    if (log.#lastSeq > 0 && boots.at(-1) !== log.#boot) log.#lastSeq += restartGap
    return log
  }

  /** The number of the last event. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  /** Why the disk did not take the last event. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Gives an event its number and keeps it. Never throws. */
  append(event: NewEvent): ManagerEvent {
    const at = new Date().toISOString()
    const clipped = Object.entries({ at, ...event }).map(([key, value]) => [key, clip(value)])
    const seq = this.#lastSeq + 1
    const numbered = { ...Object.fromEntries(clipped), seq } as ManagerEvent
    this.#keep(numbered)
    try {
      this.#write(`${JSON.stringify(numbered)}\n`)
      this.#failure = undefined
    } catch (error) {
      this.#failure = error as Error
      this.close()
    }
    return numbered
  }

  /** The events after a number; undefined when they are not kept any more, or are yet to come. */
  since(seq: number): readonly ManagerEvent[] | undefined {
    if (seq === this.#lastSeq) return []
    const first = this.#events[0]
    if (seq > this.#lastSeq || first === undefined || seq < first.seq - 1) return undefined
    return this.#events.filter((event) => event.seq > seq)
  }

  /** Gives the descriptor back; the next event opens the file again. */
  close(): void {
    const descriptor = this.#descriptor
    this.#descriptor = undefined
    try {
      if (descriptor !== undefined) closeSync(descriptor)
    } catch (error) {
      this.#failure = error as Error
    }
  }

  #keep(event: ManagerEvent): void {
    this.#events.push(event)
    this.#lastSeq = event.seq
    // Not one by one: that would move all the others each time.
    if (this.#events.length >= 2 * this.#maxEvents)
      this.#events = this.#events.slice(-this.#maxEvents)
  }

  #write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#descriptor === undefined) this.#open()
    if (this.#size + bytes.length > this.#maxBytes) {
      this.close()
      renameSync(this.#path, `${this.#path}.1`)
      this.#open()
    }
    this.#put(bytes)
  }

  /** A part of a line is taken back: the disk is full. */
  #put(bytes: Buffer): void {
    const descriptor = this.#descriptor as number
    const before = this.#size
    try {
      for (let written = 0; written < bytes.length;)
        written += writeSync(descriptor, bytes, written)
      this.#size += bytes.length
    } catch (error) {
      ftruncateSync(descriptor, before)
      throw error
    }
  }

  /** A torn line at the end is ended, so that the next one stands alone. */
  #open(): void {
    this.#descriptor = openSync(this.#path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    this.#size = fstatSync(this.#descriptor).size
    const last = Buffer.from('\n')
    if (this.#size > 0) readSync(this.#descriptor, last, 0, 1, this.#size - 1)
    const head = JSON.stringify({ boot: this.#boot, reserved: this.#lastSeq - 1 })
    this.#put(Buffer.from(`${last.toString() === '\n' ? '' : '\n'}${head}\n`))
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}

function clip(value: unknown): unknown {
  return typeof value === 'string' && value.length > maxTextLetters
    ? `${value.slice(0, maxTextLetters)}…`
    : value
}

/** The lines of a file that are objects; a file that is not there, or cannot be read, has none. */
function linesOf(path: string): Record<string, unknown>[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : []
    } catch {
      return []
    }
  })
}

function isEvent(line: Record<string, unknown>): line is Record<string, unknown> & ManagerEvent {
  const { seq, at, machine, uuid, type } = line
  return (
    Number.isSafeInteger(seq) && [at, machine, uuid, type].every((each) => typeof each === 'string')
  )
}
