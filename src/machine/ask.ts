import { types } from 'node:util'

import { WriteBatch } from '../results/write-batch.ts'
import { lengthOf } from '../options/check.ts'
import { type ErrorCode, VmError, show, showThrown } from '../native/errors.ts'
import { type AccessExit, type AccessSize, toExit } from '../results/exit.ts'
import { native } from '../native/native.ts'
import { value64, words } from '../native/block.ts'
import { answer, pump } from '../native/pump.ts'
import { type Asked, OpenQuestions, bytesToRead } from './open-questions.ts'
import { hearsBatches, publishBatch } from './run/channels.ts'
import type { StopHandlers } from '../debug/stops/handlers.ts'
import type { Device } from '../options/device.ts'
import type { ExitContext } from '../options/run-options.ts'
import type { Registers } from '../results/registers.ts'
import type { Handlers } from '../options/routes.ts'
import type { NativeExit, NativeMachine } from '../native/seam.ts'

const { NativeAnswer: Answer, NativeQuestion: Question } = native

/**
 * What the native side passes beside the words: console bytes, or the record of an unclaimed exit.
 */
export type Payload = Uint8Array | NativeExit | WriteBatch | number
/** A status, or the bytes of an unclaimed string read. */
export type Reply = number | Uint8Array
/** The catch-all callback. */
export type OnExit = (exit: AccessExit, context: ExitContext) => unknown

/** Calls the handlers of one machine, and turns what they return into answers. */
export class Asker {
  /** What went wrong in a handler of this run; the first one counts. */
  failure: VmError | undefined
  /** By the id of the route. */
  readonly #handlers: Map<number, Handlers>
  readonly #machine: NativeMachine
  /** Posted routes whose consumer has not finished its last batch. */
  readonly #consuming = new Map<number, Promise<void>>()
  #onExit: OnExit | undefined
  #mayWait = false
  #run = 0
  /** Grows when open questions are forgotten. */
  #era = 0
  #depth = 0
  readonly #open: OpenQuestions
  readonly #stops: StopHandlers
  #closed = false

  constructor(handlers: Map<number, Handlers>, machine: NativeMachine, stops: StopHandlers) {
    this.#handlers = handlers
    this.#stops = stops
    this.#machine = machine
    this.#open = new OpenQuestions(machine)
  }

  /** A run begins: under `run()` handlers may return promises. */
  begin(onExit: OnExit | undefined, mayWait: boolean): void {
    this.#run++
    this.failure = undefined
    this.#onExit = onExit
    this.#mayWait = mayWait
  }

  /** The run is over: promises that are still open are ignored. */
  end(): void {
    this.#run++
    this.#onExit = undefined
    // Clearing what is empty costs, too.
    if (this.#consuming.size > 0) this.#consuming.clear()
    this.#open.clear()
  }

  /** What was promised counts no more: the vCPUs are no longer where they asked. */
  forget(): void {
    this.#era++
    this.#open.clear()
  }

  /** Whether a run has to look around for what gathers. */
  get needsTicks(): boolean {
    const gathers = ({ onData, onBatch, onEvent }: Handlers): boolean =>
      (onData ?? onBatch ?? onEvent) !== undefined
    return [...this.#handlers.values()].some(gathers)
  }

  /** A route is attached. */
  add(route: number, handlers: Handlers): void {
    this.#handlers.set(route, handlers)
  }

  /** It is gone. */
  remove(route: number): void {
    this.#handlers.delete(route)
  }

  /** No handler is called any more. */
  close(): void {
    this.#closed = true
  }

  /** Whether a handler of this machine is on the stack. */
  get isAsking(): boolean {
    return this.#depth > 0
  }

  /** Answers the question in the words; the native side calls it. */
  readonly ask = (payload?: Payload): Reply => {
    const kind = words[0]!
    if (kind === Question.Posted) return this.#handOver(words[1]!)
    if (kind === Question.Read || kind === Question.Write) return this.#askDevice(kind)
    const exit =
      kind === Question.Unclaimed ? (toExit(payload as NativeExit) as AccessExit) : undefined
    const asked = { kind, route: words[1]!, ticket: words[5]!, exit, readBytes: bytesToRead(exit) }
    return this.#answered(asked, payload)
  }

  /**
   * Delivers console bytes that are left after a run. Returns the promise of an `onData` that
   * returns one.
   */
  deliver(route: number, bytes: Uint8Array): Promise<void> | undefined {
    return this.#deliver(Question.Console, route, bytes)
  }

  #deliver(kind: number, route: number, payload: Payload): Promise<void> | undefined {
    const run = this.#run
    let settled: Promise<void> | undefined
    const asked = { kind, route, ticket: 0, exit: undefined }
    this.#answered(asked, payload, (promise) => {
      settled = Promise.resolve(promise).then(
        () => undefined,
        (error: unknown) => {
          if (run === this.#run) this.#threw(asked, error)
        },
      )
    })
    return settled
  }

  /** Delivers a batch of posted writes to a free consumer. */
  #handOver(route: number): Reply {
    const handlers = this.#handlers.get(route)
    const payload = words[4] === 1 ? loneWrite() : handlers && this.#takePosted(route, handlers)
    if (payload === undefined) return Answer.Done
    const asked = { kind: Question.Posted, route, ticket: 0, exit: undefined }
    return this.#answered(asked, payload, (promise) => this.#consume(asked, promise))
  }

  /** Delivers all posted writes that are left after a run. */
  drainLast(): void {
    // A run may be as short as a function call.
    if (this.#handlers.size === 0) return
    for (const _ of this.drainEach());
  }

  /** Delivers route by route, and yields the promises of the consumers. */
  *drainEach(): Generator<Promise<void> | undefined> {
    for (const [route, handlers] of this.#handlers) {
      const payload = isPosted(handlers) ? this.#takePosted(route, handlers) : undefined
      if (payload !== undefined) yield this.#deliver(Question.Posted, route, payload)
    }
  }

  #takePosted(route: number, handlers: Handlers): WriteBatch | number | undefined {
    if (handlers.onEvent) return this.#machine.takeCount(route) || undefined
    const columns = this.#machine.drain(route)
    return columns ? new WriteBatch(columns) : undefined
  }

  #consume(asked: Asked, promise: PromiseLike<unknown>): void {
    this.#consuming.set(asked.route, this.#consumed(asked, promise))
  }

  async #consumed(asked: Asked, promise: PromiseLike<unknown>): Promise<void> {
    const run = this.#run
    try {
      await promise
    } catch (error) {
      if (run === this.#run) {
        this.#threw(asked, error)
        this.#machine.stop()
      }
    }
    if (run !== this.#run) return
    this.#consuming.delete(asked.route)
    this.#machine.consumed(asked.route)
    // What has gathered meanwhile, if this turn of the event loop has time left.
    pump(false)
  }

  /** Promises of consumers that have not finished. */
  get atWork(): Promise<void>[] {
    return [...this.#consuming.values()]
  }

  /** The path of every device access: it allocates nothing if the device returns a plain value. */
  #askDevice(kind: number): Reply {
    const route = words[1]!
    const ticket = words[5]!
    if (this.#closed) return Answer.Failed
    const device = this.#handlers.get(route)?.device
    this.#open.call(device, ticket)
    this.#depth++
    try {
      const returned = this.#callDevice(kind, device)
      if (returned === undefined && kind === Question.Write) return Answer.Done
      return this.#judge({ kind, route, ticket, exit: undefined }, returned)
    } catch (error) {
      return this.#threw({ kind, route, ticket, exit: undefined }, error)
    } finally {
      this.#depth--
      this.#open.returned()
    }
  }

  #callDevice(kind: number, device: Device | undefined): unknown {
    // This comes first: a method may be a getter, which may run a machine that asks something else.
    const offset = words[2]!
    const size = words[3] as AccessSize
    const vcpu = words[4]!
    if (kind === Question.Read) {
      const read = device?.read
      return read ? read.call(device, offset, size, vcpu) : -1
    }
    const value = size === 8 ? value64[0]! : words[6]!
    return device?.write?.(offset, size, value, vcpu)
  }

  #answered(
    asked: Asked,
    payload?: Payload,
    wait?: (promise: PromiseLike<unknown>) => void,
  ): Reply {
    if (this.#closed) return Answer.Failed
    let reply: Reply = Answer.Failed
    this.#depth++
    try {
      reply = this.#judge(asked, this.#call(asked, payload), wait)
    } catch (error) {
      reply = this.#threw(asked, error)
    } finally {
      this.#depth--
      asked.isAnswered = reply !== Answer.Promised
    }
    return reply
  }

  #judge(
    asked: Asked,
    returned: unknown,
    wait: (promise: PromiseLike<unknown>) => unknown = (promise) => this.#wait(asked, promise),
  ): Reply {
    if (!isThenable(returned)) return this.#reply(asked, returned)
    if (this.#mayWait) {
      wait(returned)
      return Answer.Promised
    }
    Promise.resolve(returned).then(undefined, () => undefined)
    const why = 'returned a promise, and runSync() cannot wait for it; use run()'
    return this.#failed(asked, 'ERR_ASYNC_HANDLER', why)
  }

  #call(asked: Asked, payload: Payload | undefined): unknown {
    const handlers = this.#handlers.get(asked.route)
    switch (asked.kind) {
      case Question.Console:
        return handlers?.onData?.(payload as Uint8Array)
      case Question.Posted:
        if (hearsBatches()) publishBatch(this.#machine, asked.route, payload as WriteBatch | number)
        return handlers?.onEvent
          ? handlers.onEvent(payload as number)
          : handlers?.onBatch?.(payload as WriteBatch)
      case Question.Unclaimed:
        return this.#onExit ? this.#onExit(asked.exit!, this.#open.contextFor(asked)) : false
      case Question.Stop:
        return this.#stops.ask(asked.route, payload as Uint8Array, this.#open.registersOf(asked))
      default:
        return undefined
    }
  }

  /** The registers of the vCPU that asks a device; `undefined` if none does. */
  registersFor(device: Device): Registers | undefined {
    return this.#open.registersFor(device)
  }

  #reply(asked: Asked, returned: unknown): Reply {
    const { kind, exit, readBytes } = asked
    if (exit) {
      if (returned === false) return Answer.End
      if (readBytes === undefined) return Answer.Done
      if (types.isUint8Array(returned)) return this.#bytes(asked, returned, readBytes)
      return this.#value(asked, returned)
    }
    if (kind === Question.Stop) return returned === 'stop' ? Answer.End : Answer.Done
    return kind === Question.Read ? this.#value(asked, returned) : Answer.Done
  }

  #value(asked: Asked, value: unknown): Reply {
    if (typeof value === 'number' && value >>> 0 === value) {
      words[6] = value
      words[7] = 0
      return Answer.Value
    }
    const whole =
      typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
    if (whole && value >= -(2n ** 63n) && value < 2n ** 64n) {
      value64[0] = BigInt.asUintN(64, BigInt(value))
      return Answer.Value
    }
    return this.#failed(
      asked,
      'ERR_HANDLER',
      `must return a whole number or a bigint of 64 bits, got ${show(value)}`,
    )
  }

  #bytes(asked: Asked, bytes: Uint8Array, expected: number): Reply {
    const length = lengthOf(bytes)
    if (length === expected) return bytes
    return this.#failed(
      asked,
      'ERR_HANDLER',
      `must return ${expected} bytes (size times count), got ${length}`,
    )
  }

  /** Continues in the asynchronous context of the run, whatever settles the promise. */
  async #wait(asked: Asked, promise: PromiseLike<unknown>): Promise<void> {
    const [run, era] = [this.#run, this.#era]
    this.#open.promise()
    let reply: () => Reply
    try {
      const value = await promise
      reply = () => this.#settled(asked, value)
    } catch (error) {
      reply = () => this.#threw(asked, error)
    }
    if (run !== this.#run) return
    asked.isAnswered = true
    this.#open.settle(asked.ticket)
    if (era === this.#era) answer(this.#machine, asked.ticket, reply())
  }

  #settled(asked: Asked, value: unknown): Reply {
    try {
      return this.#reply(asked, value)
    } catch (error) {
      return this.#threw(asked, error)
    }
  }

  #threw(asked: Asked, error: unknown): Reply {
    return this.#failed(asked, 'ERR_HANDLER', `failed: ${showThrown(error)}`, error)
  }

  #failed(asked: Asked, code: ErrorCode, what: string, cause?: unknown): Reply {
    const details = cause === undefined ? {} : { cause }
    this.failure ??= new VmError(code, `${this.#name(asked)} ${what}`, details)
    return Answer.Failed
  }

  #name({ kind, route }: Asked): string {
    if (kind === Question.Unclaimed) return 'onExit'
    if (kind === Question.Stop) return 'the handler of a stop'
    const handlers = this.#handlers.get(route)
    const posted = handlers?.onEvent ? 'onEvent' : 'onBatch'
    const names = new Map<number, string>([
      [Question.Read, 'device.read'],
      [Question.Write, 'device.write'],
      [Question.Posted, posted],
    ])
    return `${names.get(kind) ?? 'onData'} of ${handlers?.name}`
  }
}

/** The posted write in the words. */
function loneWrite(): WriteBatch {
  return new WriteBatch({
    offsets: Uint32Array.of(words[2]!),
    sizes: Uint8Array.of(words[3]!),
    values: BigUint64Array.of(value64[0]!),
  })
}

function isPosted({ onBatch, onEvent }: Handlers): boolean {
  return onBatch !== undefined || onEvent !== undefined
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
