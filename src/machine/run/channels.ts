import { channel, tracingChannel } from 'node:diagnostics_channel'

import { raise } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { RunResult } from '../../results/result.ts'
import type { WriteBatch } from '../../results/write-batch.ts'

/**
 * What subscribers of the tracing channel `vmexit:run` get: one object for all events of a run.
 * `runSync()` publishes `start` and `end`, `run()` also `asyncStart` and `asyncEnd`; a run that
 * fails publishes `error`. Whatever the guest does is a result.
 *
 * @category Machine
 */
export interface RunMessage {
  /** The `VirtualMachine`. */
  readonly machine: object
  /** How it was started. */
  readonly kind: 'run' | 'runSync'
  /** How it ended, once it has. */
  result?: RunResult
  /** Why it failed, if it did. */
  error?: unknown
}

/**
 * What subscribers of the channel `vmexit:batch` get, right before the route's handler does.
 *
 * @category Machine
 */
export interface BatchMessage {
  /** The `VirtualMachine`. */
  readonly machine: object
  /** The route: its place in `routes` of the options, or what came later. */
  readonly route: number
  /** The writes to a `queue` or `coalesce` route; or the number of those to an `event` route. */
  readonly batch: WriteBatch | number
}

const runs = tracingChannel<object, RunMessage>('vmexit:run')
const batches = channel('vmexit:batch')

const events = [runs.start, runs.end, runs.asyncStart, runs.asyncEnd, runs.error]

/** Not kept alive by the native machine, which sockets of a network card may refer to. */
const owners = new WeakMap<NativeMachine, WeakRef<object>>()

/** Whose runs and batches are published. */
export function noteOwner(machine: NativeMachine, owner: object): void {
  owners.set(machine, new WeakRef(owner))
}

/** A batch is about to be delivered. */
export function publishBatch(
  machine: NativeMachine,
  route: number,
  batch: WriteBatch | number,
): void {
  const owner = owners.get(machine)?.deref()
  if (owner) batches.publish({ machine: owner, route, batch } satisfies BatchMessage)
}

/** Whether there are subscribers to batches. */
export function hearsBatches(): boolean {
  return batches.hasSubscribers
}

/** One run, as subscribers hear of it. */
export class RunReport {
  readonly #message: RunMessage

  private constructor(message: RunMessage) {
    this.#message = message
  }

  /** `undefined` if none listens. */
  static of(machine: NativeMachine, kind: RunMessage['kind']): RunReport | undefined {
    if (!events.some((event) => event.hasSubscribers)) return undefined
    const owner = owners.get(machine)?.deref()
    return owner && new RunReport({ machine: owner, kind })
  }

  /** All of `runSync()`. */
  whole(run: () => RunResult): RunResult {
    try {
      return runs.start.runStores(this.#message, () => (this.#message.result = run()))
    } catch (error) {
      this.#failed(error)
      return raise(error)
    } finally {
      runs.end.publish(this.#message)
    }
  }

  /** The call of `run()`. */
  begin(run: () => void): void {
    try {
      runs.start.runStores(this.#message, run)
    } finally {
      runs.end.publish(this.#message)
    }
  }

  /** Its promise is resolved. */
  resolved(result: RunResult): void {
    this.#message.result = result
    this.#over()
  }

  /** Its promise is rejected. */
  rejected(error: unknown): void {
    this.#failed(error)
    this.#over()
  }

  #failed(error: unknown): void {
    this.#message.error = error
    runs.error.publish(this.#message)
  }

  #over(): void {
    runs.asyncStart.publish(this.#message)
    runs.asyncEnd.publish(this.#message)
  }
}
