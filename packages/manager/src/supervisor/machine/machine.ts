import type { ManagerSettings } from '../../definition/index.ts'
import type { MachineRecord } from '../../store/index.ts'
import type { Context } from './context.ts'
import type { ManagerError } from '../errors.ts'
import type { EventType, MachineState, MachineView, StartOptions } from '../interface.ts'
import type { WireEvent } from '../../wire/index.ts'
import { type Deferred, deferred } from './deferred.ts'
import { type LastRun, writeLast } from './last-run.ts'
import { bootId } from '../process/proc.ts'
import { type Run, within } from '../process/run.ts'
import { type Outcome, Restarts } from './restart.ts'
import { awake, busy, endedAtStart, move, need, still } from './states.ts'
import { Turns } from './turns.ts'
import { beginningOf, viewOf, type ProcessView } from './view.ts'

/** How long the end of a machine may take to be known, once its process is gone. */
const endMs = 10_000

/** How a machine is started. */
export interface HowToStart extends StartOptions {
  /** The folder of a snapshot to go on from. */
  readonly from?: string
  /** Whether nobody asked for it, but a restart. */
  readonly automatic?: boolean
}

/** One machine: what it is made of, what it does, and what may be done with it at the moment. */
export class Machine {
  readonly #context: Context
  readonly #restarts: Restarts
  readonly #turns = new Turns()
  readonly #writes = new Turns()
  #record: MachineRecord
  #state: MachineState
  #last: LastRun
  #run: Run | undefined
  #abort: ((error: ManagerError) => void) | undefined
  /** Resolves when the present run is over and all is told about it. */
  #over: Deferred = deferred()
  #saved = false
  /** Whether the power button was pressed in the present run. */
  #pressed = false

  /** One that does not run, as far as is known. */
  constructor(context: Context, record: MachineRecord, last: LastRun) {
    this.#context = context
    this.#restarts = new Restarts(context.backoff)
    this.#record = record
    this.#last = last
    this.#state = still.includes(last.state) ? last.state : 'defined'
  }

  /** Its name. */
  get name(): string {
    return this.#record.name
  }

  /** What is stored of it. */
  get record(): MachineRecord {
    return this.#record
  }

  /** What it does. */
  get state(): MachineState {
    return this.#state
  }

  /** What the last run has left for a later daemon. */
  get last(): LastRun {
    return this.#last
  }

  /** The process that it is in. */
  get process(): ProcessView | undefined {
    const run = this.#run
    return run && { pid: run.process.pid, shared: run.shared, vncPort: run.vncPort }
  }

  /** As front ends see it. */
  get view(): MachineView {
    return viewOf(this.#record, {
      state: this.#state,
      last: this.#last,
      pid: this.#run?.process.pid,
      saved: this.#saved,
    })
  }

  /** Takes other contents, from the next start on. */
  async redefine(record: MachineRecord): Promise<void> {
    await this.#context.store.save(record)
    this.#record = record
  }

  /** Starts it; resolves when it runs. */
  async start(options: HowToStart = {}): Promise<MachineView> {
    need(this.name, this.#state, still, 'start')
    this.cancelRestart()
    if (!options.automatic) this.#restarts.forget()
    return this.#start(options)
  }

  /** Asks the guest to end, and ends it when the time is up; resolves when it has ended. */
  async stop(timeoutMs: number): Promise<MachineView> {
    if (this.cancelRestart()) return this.view
    need(this.name, this.#state, busy, 'stop')
    if (this.#state === 'starting' || timeoutMs === 0) return this.kill()
    const over = this.#over.promise.then(() => true)
    if (!(await this.#pressToStop()) || !(await within(over, timeoutMs))) return this.kill()
    return this.view
  }

  /** Ends it at once, whatever else is being done with it. */
  async kill(): Promise<MachineView> {
    if (this.cancelRestart()) return this.view
    const over = this.#over.promise
    // It may have ended while `stop` was waiting.
    if (this.#state !== 'stopping') need(this.name, this.#state, busy, 'kill')
    this.#stopping()
    this.#abort?.(endedAtStart(this.name))
    await this.#run?.kill()
    await over
    return this.view
  }

  /** Presses the power button. */
  async powerButton(): Promise<void> {
    await this.ask('press the power button of', 'powerButton', {}, ['running'])
    this.#pressed = true
  }

  /** Stops its vCPUs. */
  async pause(): Promise<MachineView> {
    await this.ask('pause', 'pause', {}, ['running'])
    this.follow('paused', 'paused')
    return this.view
  }

  /** Lets its vCPUs go on. */
  async resume(): Promise<MachineView> {
    await this.ask('resume', 'resume', {}, ['paused'])
    this.follow('running', 'resumed')
    return this.view
  }

  /** Looks whether a state of it is saved. */
  async findSaved(): Promise<void> {
    this.#saved = (await this.#context.store.snapshots(this.name).saved()) !== undefined
  }

  /** Forgets that state. */
  async removeSaved(): Promise<void> {
    await this.#context.store.snapshots(this.name).removeSaved()
    this.#saved = false
  }

  /** Ends it after its state was saved. */
  async endSaved(): Promise<void> {
    const over = this.#over.promise
    this.#stopping()
    await this.#run?.kill('saved')
    await over
  }

  /** Asks its process, if it is in one of `states`; one such call after another. */
  ask(
    verb: string,
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    states: readonly MachineState[] = awake,
    limitMs?: number,
  ): Promise<Record<string, unknown>> {
    return this.inTurn(() => this.askNow(verb, method, params, states, limitMs))
  }

  /** The same, for whoever has the turn. */
  async askNow(
    verb: string,
    method: string,
    params: Readonly<Record<string, unknown>> = {},
    states: readonly MachineState[] = awake,
    limitMs?: number,
  ): Promise<Record<string, unknown>> {
    need(this.name, this.#state, states, verb)
    const over = this.#over.promise
    const run = this.#run!
    try {
      return await run.request(method, params, limitMs)
    } catch (error) {
      if (!run.isClosed) throw error
      // It has ended in this moment: its state says so better.
      await within(over, endMs)
      need(this.name, this.#state, states, verb)
      throw error
    }
  }

  /** Does what must not be done at the same time as another such thing. */
  inTurn<T>(act: () => T | Promise<T>): Promise<T> {
    return this.#turns.take(act)
  }

  /** Tells an event of it. */
  tell(type: EventType, more?: Readonly<Record<string, unknown>>): void {
    const { name, uuid } = this.#record
    this.#context.listeners.add({ machine: name, uuid, type, ...(more ? { more } : {}) })
  }

  /** Forgets a restart that was to come; whether there was one. */
  cancelRestart(): boolean {
    const waits = this.#restarts.cancel()
    if (waits) void this.#keepLast({ ...this.#last, restart: false })
    return waits
  }

  /** Leaves it alone: it goes on, and this object hears nothing more of it. */
  async leave(): Promise<void> {
    this.#restarts.cancel()
    this.#run?.leave()
    await this.#writes.take(() => {})
  }

  /** Goes on with a run that an earlier daemon began. */
  attach(run: Run, state: MachineState): void {
    this.#state = state
    this.#over = deferred()
    this.#watch(run)
  }

  /** What the machine's process tells. */
  heard(event: WireEvent): void {
    if (event.event === 'running' || event.event === 'resumed') {
      this.follow('running', this.#state === 'paused' ? 'resumed' : 'running')
    } else if (event.event === 'paused') this.follow('paused', 'paused')
    else if (event.event === 'reset') this.tell('reset', { by: event['by'] })
  }

  /** What the process says or answers, in either order, and not of a machine that is to end. */
  follow(state: MachineState, type: EventType): void {
    if (this.#state === state || this.#state === 'stopping' || still.includes(this.#state)) return
    this.#enter(state)
    this.tell(type)
  }

  /** Tells how a run ended while there was no daemon, and does what its policy says. */
  async missed(outcome: Outcome): Promise<void> {
    this.#state = 'running'
    await this.#conclude(outcome, false)
  }

  /** Starts it after a while, as its policy says; an earlier daemon may have promised it. */
  restartAfter(ms: number): void {
    void this.#keepLast({ ...this.#last, restart: true })
    this.tell('restarting', { afterMs: ms })
    this.#restarts.in(ms, () => {
      this.start({ automatic: true }).catch((error: unknown) => this.#complain(error))
    })
  }

  get #settings(): ManagerSettings {
    return (this.#record.definition.manager ?? {}) as ManagerSettings
  }

  async #start(options: HowToStart): Promise<MachineView> {
    this.#over = deferred()
    this.#pressed = false
    this.#last = {
      state: this.#state,
      startedAt: new Date().toISOString(),
      id: this.#context.nextId(),
    }
    this.#enter('starting')
    this.tell('starting', beginningOf(options, this.#saved))
    try {
      const { group } = this.#settings
      const where = group === undefined ? {} : { group }
      await this.#keepLast({ ...this.#last, ...where, state: 'starting', boot: bootId() })
      await this.#launch(options)
    } catch (error) {
      // A run that there is tells of its end itself.
      if (this.#run === undefined) await this.#failed(error as Error, options.automatic === true)
      throw error
    } finally {
      this.#abort = undefined
    }
    return this.view
  }

  async #launch({ from: snapshot, fresh, paused }: HowToStart): Promise<void> {
    const { store, spawner } = this.#context
    const { name, uuid, definition } = this.#record
    const snapshots = store.snapshots(name)
    if (fresh) await snapshots.removeSaved()
    const from = snapshot ?? (await snapshots.saved())
    const abort = new Promise<never>((_, reject) => (this.#abort = reject))
    abort.catch(() => {})
    const { group, limits } = this.#settings
    const run = await spawner.start({
      name,
      group,
      limits,
      params: { name, uuid, definition, ...(paused ? { paused } : {}), ...(from ? { from } : {}) },
      onEvent: (event) => this.heard(event),
      abort,
    })
    this.#watch(run)
    // It goes on from here, and never again from there.
    await this.removeSaved().catch((error: unknown) => this.#complain(error))
    if (this.#state === 'stopping') {
      await this.#run?.kill()
      throw endedAtStart(this.name)
    }
    this.follow(paused ? 'paused' : 'running', paused ? 'paused' : 'running')
  }

  async #failed(error: Error, automatic: boolean): Promise<void> {
    const outcome: Outcome =
      this.#state === 'stopping'
        ? { state: 'ended', reason: 'stopped' }
        : { state: 'crashed', reason: error.message }
    // Who asked for the start is told why it failed; a restart is tried again.
    await this.#conclude(outcome, !automatic)
  }

  #watch(run: Run): void {
    this.#run = run
    void this.#until(run.passOn())
  }

  async #until(run: Run): Promise<void> {
    const outcome = await run.over
    const done = run.wanted || (this.#pressed && outcome.reason === 'power-off')
    await this.#context.spawner.clean(this.name).catch((error: unknown) => this.#complain(error))
    this.#run = undefined
    await this.#conclude(outcome, done)
  }

  /** The end of a run: told once, and the last thing that is. */
  async #conclude({ state, crash, ...why }: Outcome, wanted: boolean): Promise<void> {
    const over = this.#over
    const ranMs = Date.now() - Date.parse(this.#last.startedAt ?? new Date().toISOString())
    this.#enter(state)
    this.tell(state, why)
    const kept = this.#keepLast({ ...this.#last, ...why, ...(crash && { crash }), state })
    if (!this.#record.persistent) {
      await kept
      await this.#context.vanish(this.name).catch((error: unknown) => this.#complain(error))
    } else if (!wanted && this.#state === state) this.#restartPerhaps({ state, ...why }, ranMs)
    await kept
    over.resolve()
  }

  #restartPerhaps(outcome: Outcome, ranMs: number): void {
    const policy = this.#settings.restart ?? 'no'
    const after = this.#restarts.after(policy, outcome, ranMs)
    if (typeof after === 'number') this.restartAfter(after)
    else if (after === 'enough') {
      const { row } = this.#restarts
      this.#context.log(`machine '${this.name}' was restarted ${row} times in a row: it stays down`)
    }
  }

  async #pressToStop(): Promise<boolean> {
    const paused = this.#state === 'paused'
    const run = this.#run
    if (this.#state === 'stopping') return true
    this.#stopping()
    try {
      if (paused) await run?.request('resume')
      await run?.request('powerButton')
      return true
    } catch {
      // It has none, or does not answer.
      return false
    }
  }

  #stopping(): void {
    if (this.#run !== undefined) this.#run.wanted = true
    if (this.#state === 'stopping') return
    this.#enter('stopping')
    this.tell('stopping')
  }

  #enter(state: MachineState): void {
    this.#state = move(this.name, this.#state, state)
  }

  async #keepLast(last: LastRun): Promise<void> {
    this.#last = last
    const { store } = this.#context
    const write = (): Promise<void> => writeLast(store.folder(this.name), last)
    await this.#writes.take(write).catch((error: unknown) => this.#complain(error))
  }

  #complain(error: unknown): void {
    this.#context.log(`machine '${this.name}': ${(error as Error).message}`)
  }
}
