import { inspect, type InspectOptions } from 'node:util'

import { invalid, take } from '../native/errors.ts'
import type { NativeMachine, NativeTrace, NativeTraceCopy } from '../native/seam.ts'
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkString,
  checkWord,
} from '../options/check.ts'
import { formatOf, readRecords, writeTrace } from './file.ts'
import { type TraceFormat, exitsOf, formats } from './formats.ts'
import { type Records, type TracedExit, recordBytes } from './record.ts'

/**
 * Options of `vm.trace()`.
 *
 * @category Debugging
 */
export interface TraceOptions {
  /**
   * How many exits of each vCPU are kept, the newest: 64 bytes of memory each, 208 with registers.
   * Default 65536.
   */
  readonly capacity?: number
  /** Whether all general registers are kept, too. Default false. */
  readonly registers?: boolean
}

/**
 * Options of `trace.save()`.
 *
 * @category Debugging
 */
export interface TraceSaveOptions {
  /**
   * `'jsonl'`, a line for each exit, 64-bit values as hexadecimal text; `'chrome'`, for Perfetto
   * and Chrome's trace viewer; `'binary'`, for `readTrace`. Default: what the path ends with,
   * `.jsonl`, `.json`, or `.bin` and `.trace`.
   */
  readonly format?: TraceFormat
}

const defaultCapacity = 65_536

/**
 * The exits of a machine, one by one, from `vm.trace()` on; or those of a file, by `readTrace()`.
 * Of each vCPU the newest are kept. It can be read at any time, also while the machine runs, and
 * after its end.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.hello,
 *   routes: [{ port: 0xe9, to: 'console' }],
 * })
 * using trace = vm.trace()
 * vm.runSync()
 * const [first] = trace
 * console.log(trace.length, first?.reason, first?.port, first?.value) // 15 pio-out 233 72
 * ```
 *
 * @category Debugging
 */
export class Trace implements Iterable<TracedExit>, Disposable {
  /** Exits of each vCPU that it has room for. */
  readonly capacity: number
  /** Whether it has all general registers of each exit. */
  readonly registers: boolean
  readonly #vcpus: number
  #live: NativeTrace | undefined
  /** What it had when it was closed. */
  #kept: Records | undefined

  /** @internal */
  constructor(of: Omit<Records, 'bytes' | 'dropped'>, source: NativeTrace | Records) {
    this.capacity = of.capacity
    this.registers = of.registers
    this.#vcpus = of.vcpus
    if ('bytes' in source) this.#kept = source
    else this.#live = source
  }

  /** How many exits it has. */
  get length(): number {
    return this.#live ? this.#live.length() : this.#kept!.bytes.length / recordBytes(this.registers)
  }

  /** How many it had and has no more: newer ones have taken their place. */
  get dropped(): number {
    return this.#live ? this.#live.dropped() : this.#kept!.dropped
  }

  /**
   * The exits in the order of time, as they are at the call: what comes later is not among them.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using trace = vm.trace({ capacity: 4 })
   * vm.runSync({ onExit: () => undefined })
   * console.log(Array.from(trace, ({ reason }) => reason).at(-1), trace.dropped) // hlt 11
   * ```
   */
  [Symbol.iterator](): Iterator<TracedExit> {
    return exitsOf(this.#records())
  }

  /**
   * Writes the exits that it has at the call. The file is there when it is whole; one of that name
   * is replaced.
   *
   * Rejects with `ERR_INVALID_OPTION`, also for a path where no file can be written; `cause` has
   * the system's error.
   *
   * @example
   * ```ts
   * import { mkdtemp, readFile } from 'node:fs/promises'
   * import { tmpdir } from 'node:os'
   * import { join } from 'node:path'
   * import { VirtualMachine, guests } from 'vmexit'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * using trace = vm.trace()
   * vm.runSync({ onExit: () => undefined })
   * const path = join(await mkdtemp(join(tmpdir(), 'vmexit-')), 'hello.json')
   * await trace.save(path) // to be opened in ui.perfetto.dev
   * console.log(JSON.parse(await readFile(path, 'utf8')).traceEvents.length > 15) // true
   * ```
   */
  async save(path: string, options: TraceSaveOptions = {}): Promise<void> {
    const given = checkObject('save options', options)
    checkKeys('save options', given, ['format'])
    const format =
      options.format === undefined
        ? formatOf(checkString('path', path))
        : checkWord('save options.format', options.format, formats)
    if (format === undefined)
      return invalid('path', 'one that ends with .json, .jsonl, .bin or .trace', path)
    await writeTrace(checkString('path', path), await this.#recordsLater(), format)
  }

  /**
   * Records nothing more. What it has stays readable, and the machine may have another trace. A
   * further call does nothing.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const trace = vm.trace()
   * vm.runSync()
   * trace.close()
   * vm.runSync()
   * console.log(trace.length, vm.counters().exits['pio-out']) // 1 2
   * ```
   */
  close(): void {
    if (!this.#live) return
    this.#kept = this.#records()
    this.#live.close()
    this.#live = undefined
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptions, show: typeof inspect): string {
    if (depth < 0) return '[Trace]'
    const { length, dropped, capacity, registers } = this
    return `Trace ${show({ length, dropped, capacity, registers }, options)}`
  }

  #records(): Records {
    return this.#recordsOf(this.#live?.read())
  }

  async #recordsLater(): Promise<Records> {
    const copy = await this.#live?.readLater()
    return this.#recordsOf(copy && take(copy))
  }

  #recordsOf(copy: NativeTraceCopy | null | undefined): Records {
    const { capacity, registers } = this
    return copy ? { ...copy, capacity, registers, vcpus: this.#vcpus } : this.#kept!
  }
}

/** `vm.trace()`. */
export function beginTrace(
  machine: NativeMachine,
  vcpus: number,
  options: TraceOptions = {},
): Trace {
  const given = checkObject('trace options', options)
  checkKeys('trace options', given, ['capacity', 'registers'])
  const { capacity = defaultCapacity, registers = false } = options
  checkInteger('trace options.capacity', capacity, 1, 0xffff_ffff)
  checkBoolean('trace options.registers', registers)
  const native = take(machine.trace(vcpus, capacity, registers)) as NativeTrace
  return new Trace({ capacity, registers, vcpus }, native)
}

/**
 * Reads a file that `trace.save()` has written with the format `'binary'`.
 *
 * Rejects with `ERR_INVALID_OPTION` for a file that cannot be read, or is no such file, and with
 * `ERR_LIMIT` for one that is too large.
 *
 * @example
 * ```ts
 * import { mkdtemp } from 'node:fs/promises'
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { VirtualMachine, guests, readTrace } from 'vmexit'
 *
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * using trace = vm.trace({ registers: true })
 * vm.runSync({ onExit: () => undefined })
 * const path = join(await mkdtemp(join(tmpdir(), 'vmexit-')), 'hello.trace')
 * await trace.save(path)
 * const last = [...(await readTrace(path))].at(-1)
 * console.log(last?.reason, last?.registers?.rax) // hlt 42n
 * ```
 *
 * @category Debugging
 */
export async function readTrace(path: string): Promise<Trace> {
  const records = await readRecords(checkString('path', path))
  return new Trace(records, records)
}
