import type { Registers } from '../../results/registers.ts'
import { type StopHandler, type StopHit, hitOfWords, noStop } from './hit.ts'

/** Who is asked at the stops of one machine, and how often each has come. */
export class StopHandlers {
  readonly #stops = new Map<number, { handler: StopHandler | undefined; hits: number }>()
  #until: ((registers: Registers) => boolean) | undefined

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

  /** A vCPU came to it, and the run has ended there. */
  told(id: number | undefined): void {
    const stop = id === undefined ? undefined : this.#stops.get(id)
    if (stop) stop.hits++
  }

  /** A run begins: what is asked after each of its steps. */
  begin(until: ((registers: Registers) => boolean) | undefined): void {
    this.#until = until
  }

  /** Asks about the stop in the words; what it returns may be a promise. */
  ask(id: number, memory: Uint8Array | undefined, registers: () => Registers): unknown {
    if (id === noStop) return this.#until?.(registers()) === true ? 'stop' : undefined
    const stop = this.#stops.get(id)
    if (!stop?.handler) return undefined
    const hit: StopHit = { ...hitOfWords(memory), registers }
    stop.hits++
    return stop.handler(hit)
  }
}
