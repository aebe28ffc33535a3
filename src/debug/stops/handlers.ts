import type { Registers } from '../../results/registers.ts'
import { type StopHandler, type StopHit, hitOfWords, noStop } from './hit.ts'

const toAnswer = (isThere: unknown): 'stop' | undefined => (isThere === true ? 'stop' : undefined)

/** Who is asked at the stops of one machine, and how often each has come. */
export class StopHandlers {
  readonly #stops = new Map<number, { handler: StopHandler | undefined; hits: number }>()
  #until: ((registers: Registers) => unknown) | undefined

  /** A stop is there. */
  add(id: number, handler: StopHandler | undefined): void {
    this.#stops.set(id, { handler, hits: 0 })
  }

  /** It is gone. */
  remove(id: number): void {
    this.#stops.delete(id)
  }

  /** How often a vCPU came to it. */
  hits(id: number): number {
    return this.#stops.get(id)?.hits ?? 0
  }

  /** A run has ended there. What its handler was asked is counted already. */
  told(id: number | undefined): void {
    const stop = id === undefined ? undefined : this.#stops.get(id)
    if (stop && !stop.handler) stop.hits++
  }

  /** A run begins: what is asked after each of its steps. */
  begin(until: ((registers: Registers) => unknown) | undefined): void {
    this.#until = until
  }

  /** Asks about the stop in the words; what it returns may be a promise. */
  ask(id: number, memory: Uint8Array | undefined, registers: () => Registers): unknown {
    if (id === noStop) return this.#untilOf(registers())
    const stop = this.#stops.get(id)
    if (!stop?.handler) return undefined
    const hit: StopHit = { ...hitOfWords(memory), registers }
    stop.hits++
    return stop.handler(hit)
  }

  /** The answer that `until` comes to. */
  #untilOf(registers: Registers): unknown {
    const answer = this.#until?.(registers)
    const isPromise = typeof (answer as PromiseLike<unknown> | undefined)?.then === 'function'
    return isPromise ? (answer as PromiseLike<unknown>).then(toAnswer) : toAnswer(answer)
  }
}
