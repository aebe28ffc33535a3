import { VmError, fail, raise, showThrown } from '../native/errors.ts'
import { MOST_TIMER_MS } from './engine/host-limits.ts'
import { type Engine, type Limits, MAILBOX, type Stop } from './engine/types.ts'
import { GuestFault, GuestTimeout, toGuestFault } from './faults.ts'
import type { Import } from './imports.ts'
import { type OutputHandler, PAUSE, answerSystemCall } from './system-calls.ts'
import type { Guest, Marshaller } from './values/marshal.ts'

/** Who answers a guest, and for how long it may go on. */
export interface CallOptions {
  readonly timeoutMs: number | undefined
  readonly imports: ReadonlyMap<bigint, Import>
  readonly onOutput: OutputHandler | undefined
}

/** A function of the guest's. */
export interface Target {
  readonly address: bigint
  readonly marshaller: Marshaller
}

/** An import's promise. */
interface Pending {
  readonly called: Import
  readonly value: PromiseLike<unknown>
  finish(value: unknown): bigint
}

const UNLIMITED: Limits = {}

/** A start is done once; between two of its parts it waits for the event loop. */
const LEAST_START_MS = 5000

function limitsOf(timeoutMs: number | undefined): Limits {
  return timeoutMs === undefined ? UNLIMITED : { timeoutMs }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

/**
 * Calls into a guest, one at a time: a call is runs of the guest with answers in between, on this
 * thread or on another one.
 */
export class Calls {
  readonly #engine: Engine
  readonly #guest: Guest
  readonly #options: CallOptions
  /** How long what is under way may take. */
  #limits: Limits
  #busy: string | undefined
  /** How the last call ended, if the library can take no further one. */
  #broken: string | undefined
  /** Ends the wait for a promise. */
  #waiting: ((error: unknown) => void) | undefined

  constructor(engine: Engine, guest: Guest, options: CallOptions) {
    this.#engine = engine
    this.#guest = guest
    this.#options = options
    this.#limits = limitsOf(options.timeoutMs)
  }

  /** Runs `_start` until the guest waits, or its `main` is back. */
  async start(): Promise<void> {
    const name = 'the start of the library'
    this.#busy = name
    const { timeoutMs } = this.#options
    if (timeoutMs !== undefined) this.#limits = { timeoutMs: Math.max(timeoutMs, LEAST_START_MS) }
    const from = this.#now()
    await this.#serve(name, from, await this.#engine.start(this.#limits), hasStarted)
    this.#limits = limitsOf(timeoutMs)
    this.#busy = undefined
  }

  /** Calls on this thread. */
  callSync(target: Target, args: readonly unknown[]): unknown {
    const { marshaller } = target
    this.#enter(marshaller.name)
    try {
      this.#runSync(marshaller.name, this.#store(target, args))
      return marshaller.load(this.#engine.mailbox)
    } catch (error) {
      return this.#failed(error)
    } finally {
      this.#leave()
    }
  }

  /** Calls on the vCPU's own thread. */
  async call(target: Target, args: readonly unknown[]): Promise<unknown> {
    const { marshaller } = target
    this.#enter(marshaller.name)
    try {
      await this.#run(marshaller.name, this.#store(target, args))
      return marshaller.load(this.#engine.mailbox)
    } catch (error) {
      return this.#failed(error)
    } finally {
      this.#leave()
    }
  }

  /** Lets a library take calls again. */
  mend(reset: () => void): void {
    if (this.#engine.closed) fail('ERR_VM_CLOSED', 'reset: the library is closed')
    this.#idle('reset')
    // Where it fails no call is to be taken either.
    this.#broken ??= 'reset'
    reset()
    this.#broken = undefined
  }

  /** Ends the wait for an import, if there is one. */
  close(): void {
    this.#waiting?.(new VmError('ERR_VM_CLOSED', 'the library was closed during the call'))
  }

  #idle(name: string): void {
    const busy = this.#busy
    if (busy === undefined) return
    fail('ERR_VM_BUSY', `${name} during ${busy}: a library does one thing at a time`)
  }

  #enter(name: string): void {
    if (this.#engine.closed) fail('ERR_VM_CLOSED', `${name}: the library is closed`)
    this.#idle(name)
    if (this.#broken !== undefined)
      fail(
        'ERR_VM_BUSY',
        `${name}: an earlier call did not end (${this.#broken}); reset() it first`,
      )
    this.#busy = name
  }

  #leave(): void {
    this.#busy = undefined
    if (!this.#engine.closed) this.#guest.texts.clear()
  }

  /** A call that did not come to its end leaves the guest somewhere in the midst of it. */
  #failed(error: unknown): never {
    if (this.#broken !== undefined || error instanceof GuestFault) this.#broken = showThrown(error)
    return raise(error)
  }

  /** Puts a call into the mailbox; what does not fit there goes on the stack. */
  #store({ address, marshaller }: Target, args: readonly unknown[]): readonly bigint[] {
    const { mailbox } = this.#engine
    const stack = marshaller.store(mailbox, args)
    mailbox.setBigUint64(MAILBOX.function, address, true)
    return stack
  }

  #runSync(name: string, stack: readonly bigint[]): void {
    this.#broken = name
    const from = this.#now()
    let stop = this.#engine.callSync(stack, this.#limits)
    while (stop.kind !== 'returned') {
      const answer = this.#answer(name, stop)
      const rax = typeof answer === 'bigint' ? answer : refuse(answer)
      stop = this.#engine.answerSync(rax, this.#limitsAfter(name, from))
    }
    this.#broken = undefined
  }

  async #run(name: string, stack: readonly bigint[]): Promise<void> {
    this.#broken = name
    const from = this.#now()
    await this.#serve(name, from, await this.#engine.call(stack, this.#limits))
    this.#broken = undefined
  }

  /** Answers the guest until it is back, or where it was to come to. */
  async #serve(
    name: string,
    from: number,
    first: Stop,
    isThere?: (stop: Stop) => boolean,
  ): Promise<void> {
    let stop = first
    while (stop.kind !== 'returned') {
      if (isThere?.(stop)) return
      const answer = this.#answer(name, stop)
      const rax = typeof answer === 'bigint' ? answer : await this.#settle(name, answer, from)
      stop = await this.#engine.answer(rax, this.#limitsAfter(name, from))
    }
  }

  /** RAX, or what has to come first; a stop that is no call ends with what it was. */
  #answer(name: string, stop: Exclude<Stop, { kind: 'returned' }>): bigint | Pending {
    const [engine, guest] = [this.#engine, this.#guest]
    if (stop.kind === 'fault') return raise(toGuestFault(name, stop))
    if (stop.kind === 'timeout')
      return raise(new GuestTimeout(name, this.#limits.timeoutMs!, stop.registers))
    // No signal reaches a library but one that it sends itself, which is answered below.
    if (stop.kind === 'exit' || stop.kind === 'killed')
      return raise(exited(name, stop.code, engine))
    const called = this.#options.imports.get(stop.number)
    if (!called) return answerSystemCall(engine, guest, stop, this.#options.onOutput)
    const value = called.invoke(engine, guest, stop)
    const finish = (settled: unknown): bigint => called.answer(engine, guest, stop, settled)
    return isPromise(value) ? { called, value, finish } : finish(value)
  }

  /** Waits for a promise, as long as the call may take and the library is open. */
  async #settle(name: string, { called, value, finish }: Pending, from: number): Promise<bigint> {
    const left = this.#limitsAfter(name, from).timeoutMs
    let timer: NodeJS.Timeout | undefined
    try {
      const settled = await new Promise((resolve, reject) => {
        this.#waiting = reject
        if (left !== undefined)
          timer = setTimeout(() => reject(this.#tooLong(name)), Math.min(left, MOST_TIMER_MS))
        value.then(resolve, (error: unknown) => reject(called.failed(error)))
      })
      return finish(settled)
    } finally {
      this.#waiting = undefined
      clearTimeout(timer)
    }
  }

  #now(): number {
    return this.#limits.timeoutMs === undefined ? 0 : performance.now()
  }

  /** What is left of a call's time. */
  #limitsAfter(name: string, from: number): Limits {
    const { timeoutMs } = this.#limits
    if (timeoutMs === undefined) return UNLIMITED
    const left = timeoutMs - (performance.now() - from)
    return left > 0 ? { timeoutMs: left } : raise(this.#tooLong(name))
  }

  #tooLong(name: string): GuestTimeout {
    return new GuestTimeout(name, this.#limits.timeoutMs!, this.#guest.registers())
  }
}

function exited(name: string, exitCode: number, engine: Engine): GuestFault {
  const message = `${name}: the guest called exit(${exitCode})`
  return new GuestFault({ message, name: 'exit', exitCode, registers: engine.registers() })
}

/** Only a call that is awaited itself can wait. */
function refuse({ called, value }: Pending): never {
  value.then(undefined, () => undefined)
  const what = `import ${called.name} returned a promise; call through lib.async`
  return fail('ERR_ASYNC_HANDLER', what)
}

/** The guest waits for its caller, or is done with `main`. */
function hasStarted(stop: Stop): boolean {
  if (stop.kind === 'call') return stop.number === PAUSE
  return stop.kind === 'exit' && stop.code === 0
}
