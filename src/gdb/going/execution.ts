import { clearInterval, setInterval, setTimeout } from 'node:timers'

import { raise, showThrown } from '../../native/errors.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import type { RunResult } from '../../results/result.ts'
import { type Report, reportOf, signals } from './ends.ts'

/** How often it is looked whether a run has ended that others have begun. */
const pollMs = 20

/** What shall go on. */
export type Way =
  | { readonly kind: 'all' }
  /** This vCPU, by one instruction; the others go on meanwhile, or stand still. */
  | { readonly kind: 'step'; readonly vcpu: number; readonly alone: boolean }
  /** This one only. */
  | { readonly kind: 'only'; readonly vcpu: number }

/** Who looks on. */
export interface Onlooker {
  /** Begins a run of an idle machine. */
  begin(): Promise<RunResult>
  /** The machine stands still. */
  tell(report: Report): void
  /** A line for people; `tell` follows. */
  say(text: string): void
}

/** A vCPU that waits at a stop. */
interface Hit {
  readonly report: Report
  readonly vcpu: number
  /** Whether the client still wants to be told. */
  isWanted(): boolean
  settle(): void
}

/** Lets a machine go on and stand still: an idle one by a run, one that runs by a pause. */
export class Execution {
  readonly #vm: VirtualMachine
  readonly #onlooker: Onlooker
  #isGoing = false
  /** The run that this has begun, until it is over. */
  #own: Promise<void> | undefined
  #last: RunResult | undefined
  /** The end of a run that came while a stop was to be told. */
  #end: Report | undefined
  #hits: Hit[] = []
  #told: Hit | undefined
  #steps: Disposable | undefined
  /** Whether a pause is this one's, and not the program's. */
  #hasPaused = false
  #poll: NodeJS.Timeout | undefined
  readonly #lines: string[] = []

  constructor(vm: VirtualMachine, onlooker: Onlooker) {
    this.#vm = vm
    this.#onlooker = onlooker
  }

  /** Whether the guest goes on, and a stop will be told. */
  get isGoing(): boolean {
    return this.#isGoing
  }

  /** How the last run ended that this has begun; none while the machine is paused. */
  get last(): RunResult | undefined {
    return this.#vm.running ? undefined : this.#last
  }

  /** Resolves when the machine is idle or paused. */
  async halt(): Promise<void> {
    if (!this.#vm.running || this.#vm.paused) return
    await this.#vm.pause()
    if (this.#vm.paused) this.#hasPaused = true
    else await this.#over()
  }

  /** Ctrl-C: the guest stands still where it is. */
  interrupt(vcpu: number): void {
    if (this.#isGoing) void this.#stop({ kind: 'stopped', signal: signals.interrupt, vcpu })
  }

  /** A vCPU has come to a stop; it goes on when the promise resolves. */
  hit(vcpu: number, report: Report, isWanted: () => boolean): Promise<void> {
    return new Promise((settle) => {
      const hit = { vcpu, report, isWanted, settle }
      this.#hits.push(hit)
      if (this.#isGoing) void this.#stop(report, hit)
    })
  }

  /** Goes on. */
  resume(way: Way): void {
    const next = this.#hits.find((hit) => hit !== this.#told && hit.isWanted())
    if (way.kind === 'all' && next) {
      // Another vCPU has come to a stop at the same time.
      this.#told = next
      return this.#onlooker.tell(next.report)
    }
    for (const line of this.#lines.splice(0)) this.#onlooker.say(line)
    this.#isGoing = true
    this.#end = undefined
    try {
      this.#beginSteps(way)
      if (this.#vm.paused) this.#vm.resume()
      else if (!this.#vm.running) this.#start()
    } catch (error) {
      this.#isGoing = false
      this.#endSteps()
      raise(error)
    }
    const isAlone = way.kind !== 'all' && (way.kind === 'only' || way.alone)
    const others = this.#hits.filter((hit) => hit !== this.#told && hit.isWanted())
    this.#settle((hit) => (isAlone ? hit.vcpu === way.vcpu : !others.includes(hit)))
    this.#hasPaused = false
    if (!this.#own) this.#watch()
  }

  /** Takes all stops away, and lets go on what this has paused. */
  async release(removeStops: () => void): Promise<void> {
    this.#isGoing = false
    this.#unwatch()
    if (this.#vm.closed) return
    await this.halt()
    if (this.#vm.closed) return
    this.#endSteps()
    removeStops()
    if (this.#hasPaused && this.#vm.paused) this.#vm.resume()
    this.#hasPaused = false
    this.#settle(() => true)
  }

  #beginSteps(way: Way): void {
    if (way.kind === 'all') return
    const { vcpu, kind } = way
    const report: Report = { kind: 'stopped', signal: signals.trap, vcpu }
    this.#steps = this.#vm.debug.onStep(
      () => (kind === 'step' ? this.hit(vcpu, report, () => false) : undefined),
      { vcpu, alone: kind === 'only' || way.alone },
    )
  }

  #endSteps(): void {
    this.#steps?.[Symbol.dispose]()
    this.#steps = undefined
  }

  #start(): void {
    const last = this.#last
    // A read that nothing claims has a value on real buses, too.
    if (last?.reason === 'pio-in' || last?.reason === 'mmio-read') this.#answer()
    this.#last = undefined
    this.#own = this.#onlooker.begin().then(
      (result) => this.#ended(reportOf(result), String(result), result),
      (error: unknown) => this.#failed(error),
    )
  }

  #answer(): void {
    try {
      this.#vm.reply(0xffff_ffff_ffff_ffffn)
    } catch {
      // The program has answered it.
    }
  }

  #failed(error: unknown): void {
    const text = `the run has failed: ${showThrown(error)}`
    if (this.#vm.closed) this.#ended({ kind: 'gone' }, text)
    else this.#ended({ kind: 'stopped', signal: signals.abort, vcpu: 0 }, text)
  }

  #ended(report: Report, text: string, result?: RunResult): void {
    this.#own = undefined
    this.#last = result
    this.#settle(() => true)
    this.#lines.push(text)
    if (!this.#isGoing) {
      this.#end = report
      return
    }
    this.#isGoing = false
    this.#tell(report)
  }

  /** Pauses the run, and tells why; if the run ends first, that. */
  async #stop(report: Report, hit?: Hit): Promise<void> {
    this.#isGoing = false
    this.#told = hit
    try {
      await this.halt()
    } catch (error) {
      this.#lines.push(showThrown(error))
    }
    if (this.#vm.closed) this.#tell({ kind: 'gone' })
    else this.#tell(this.#end ?? report)
  }

  #tell(report: Report): void {
    this.#unwatch()
    this.#end = undefined
    if (!this.#vm.closed) this.#endSteps()
    for (const line of this.#lines.splice(0)) this.#onlooker.say(line)
    this.#onlooker.tell(report)
  }

  #settle(isDue: (hit: Hit) => boolean): void {
    const due = this.#hits.filter(isDue)
    this.#hits = this.#hits.filter((hit) => !due.includes(hit))
    for (const hit of due) hit.settle()
  }

  /** Resolves when a run that ends is over. */
  async #over(): Promise<void> {
    while (this.#own || (this.#vm.running && !this.#vm.paused)) {
      await (this.#own ?? new Promise((resolve) => setTimeout(resolve, pollMs)))
    }
  }

  /** A run that others have begun says nothing at its end. */
  #watch(): void {
    this.#poll ??= setInterval(() => {
      if (this.#vm.running) return
      if (this.#vm.closed) this.#ended({ kind: 'gone' }, 'the machine is closed')
      else {
        const report: Report = { kind: 'stopped', signal: signals.trap, vcpu: 0 }
        this.#ended(report, 'the run that the program began has ended')
      }
    }, pollMs)
  }

  #unwatch(): void {
    clearInterval(this.#poll)
    this.#poll = undefined
  }
}
