import { fail } from '../../native/errors.ts'
import type { Snapshot } from '../../machine/snapshot/snapshot.ts'
import { ProcessMachine } from './machine.ts'

/** Machines that wait for the next process of a snapshot, each with what it has touched. */
const MOST_SPARES = 2

/**
 * A process as it was at some moment: `process.snapshot()` makes it, and `new Process(snapshot)` as
 * many processes as are wanted, which go on from there. It holds memory until `close()`.
 *
 * @example
 * ```ts
 * import { Process, execute, hostDirectory } from 'vmexit/process'
 *
 * const files = { '/': hostDirectory('/', { readOnly: true }) }
 * const program = 'import json, sys; print(json.loads(sys.stdin.readline())["a"])'
 * using first = new Process('/usr/bin/python3', { args: ['-c', program], files })
 * using warm = await first.snapshot({ when: 'waits' })
 * console.log((await execute(warm, [], { stdin: '{"a": 1}' })).stdout) // 1
 * console.log((await execute(warm, [], { stdin: '{"a": 2}' })).stdout) // 2
 * ```
 *
 * @category Process
 */
export class ProcessSnapshot implements Disposable {
  readonly #snapshot: Snapshot
  readonly #spares: ProcessMachine[] = []
  #isClosed = false

  /** @internal */
  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#isClosed
  }

  /** A machine in that state. @internal */
  take(): ProcessMachine {
    if (this.#isClosed) return fail('ERR_SNAPSHOT', 'the snapshot is closed')
    const spare = this.#spares.pop()
    if (!spare) return ProcessMachine.fork(this.#snapshot)
    spare.restore(this.#snapshot)
    return spare
  }

  /** A machine of that state whose process is over. @internal */
  give(machine: ProcessMachine): void {
    if (this.#isClosed || machine.closed || this.#spares.length >= MOST_SPARES) machine.close()
    else this.#spares.push(machine)
  }

  /**
   * Gives its memory back. Processes made of it go on. Calling it again does nothing more.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['true'], files })
   * const early = await p.snapshot()
   * early.close()
   * console.log(early.closed) // true
   * ```
   */
  close(): void {
    this.#isClosed = true
    for (const spare of this.#spares.splice(0)) spare.close()
    this.#snapshot.close()
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }
}
