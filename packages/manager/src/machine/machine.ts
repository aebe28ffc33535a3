import { setTimeout as sleep } from 'node:timers/promises'

import type { RunResult, VirtualMachine } from 'vmexit'

import { ManagerError } from '../supervisor/errors.ts'
import type { MachineState } from '../supervisor/interface.ts'
import {
  type Crash,
  type End,
  type MachineEvent,
  type StartParams,
  endState,
  toldOf,
} from '../wire/index.ts'
import type { Console } from './console.ts'
import { StagedDisks } from './saved/frozen-disks.ts'
import { type Made, make } from './making.ts'
import type { ScreenSockets } from './sockets/screens.ts'

/** A guest that resets itself sooner after it began waits for the rest of this. */
const resetRestMs = 1000

/** How long a run may take to end when it is stopped, until the machine is closed anyway. */
const stopMs = 1000

/** What a machine has around it. */
export interface Around {
  readonly console: Console
  readonly screens: ScreenSockets
  /** Tells those who are connected. */
  readonly emit: (event: MachineEvent) => void
}

/** One machine: its runs one after another, and what may be done with it meanwhile. */
export class Machine {
  /** What it was started with. */
  readonly params: StartParams
  /** When it began. */
  readonly startedAt = new Date().toISOString()
  /** Resolves when it has ended. */
  readonly over: Promise<End>
  readonly #around: Around
  #made: Made
  /** The machine whose runs count; none while another one is being made. */
  #current: VirtualMachine | undefined
  #state: MachineState
  #turn: Promise<unknown> = Promise.resolve()
  /** Settles when the last run has ended, and what follows from that is decided. */
  #ran: Promise<void> = Promise.resolve()
  #beganAt = 0
  #end: End | undefined
  #finish!: (end: End) => void
  readonly #ending = new AbortController()

  private constructor(params: StartParams, around: Around, made: Made) {
    this.params = params
    this.#around = around
    this.#made = made
    this.#state = params.paused ? 'paused' : 'running'
    this.over = new Promise((resolve) => (this.#finish = resolve))
  }

  /** Makes one, and lets it run unless it is to begin paused. */
  static async start(params: StartParams, around: Around): Promise<Machine> {
    const made = await begin(params, around.console)
    try {
      await around.screens.serve(made.vm)
    } catch (error) {
      made.vm.close()
      throw error
    }
    const machine = new Machine(params, around, made)
    if (!params.paused) machine.#run()
    return machine
  }

  /** What it does. */
  get state(): MachineState {
    return this.#state
  }

  /** How it ended, if it has. */
  get end(): End | undefined {
    return this.#end
  }

  /** The machine of the core; after a reset it is another one. `ERR_STATE` when it has ended. */
  get made(): Made {
    if (this.#end) throw hasEnded(this.#end)
    return this.#made
  }

  /** Aborted when it ends. */
  get ending(): AbortSignal {
    return this.#ending.signal
  }

  get #vm(): VirtualMachine {
    return this.made.vm
  }

  /** Stops its vCPUs. */
  pause(): Promise<void> {
    return this.inTurn(async () => {
      if (this.#state === 'paused') return
      await this.#halt()
      this.#state = 'paused'
      this.#around.emit({ event: 'paused' })
    })
  }

  /** Lets them go on. */
  resume(): Promise<void> {
    return this.inTurn(() => {
      if (this.#state !== 'paused') return
      this.#goOn()
      this.#state = 'running'
      this.#around.emit({ event: 'resumed' })
    })
  }

  /** Lets it begin anew; a paused one stays before its first instruction. */
  reset(): Promise<void> {
    return this.inTurn(() => this.#beginAnew('button'))
  }

  /** Ends it. */
  async kill(): Promise<void> {
    if (this.#end) return
    this.#made.vm.stop()
    // A handler that does not give the event loop back is the daemon's to end.
    await Promise.race([this.#ran, sleep(stopMs, undefined, { ref: false })])
    this.#close({ state: 'ended', reason: 'stopped' })
  }

  /** Ends it by an error that nobody has asked for. */
  fail(error: unknown): void {
    this.#close(failed(error))
  }

  /** Does what must not be done at the same time as another such thing. */
  inTurn<T>(act: () => T | Promise<T>): Promise<T> {
    const turn = this.#turn.then(() => {
      if (this.#end) throw hasEnded(this.#end)
      return act()
    })
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Does something while its vCPUs do not run; for whoever has the turn. */
  async whileHalted<T>(act: (made: Made) => Promise<T>): Promise<T> {
    await this.#halt()
    try {
      return await act(this.made)
    } finally {
      if (this.#state === 'running' && !this.#end) this.#goOn()
    }
  }

  /** Puts another machine in the place of this one's, and lets it do what this one did. */
  async replace(another: (console: Console) => Promise<Made>): Promise<void> {
    const old = this.#vm
    this.#current = undefined
    await this.#around.screens.leave()
    old.close()
    await Promise.race([this.#around.console.heard, sleep(stopMs, undefined, { ref: false })])
    try {
      const made = await another(this.#around.console)
      this.#made = made
      if (this.#end) return made.vm.close()
      await this.#around.screens.serve(made.vm)
    } catch (error) {
      this.fail(error)
      throw error
    }
    if (this.#state === 'running') this.#run()
  }

  #run(): void {
    const { vm } = this.#made
    this.#current = vm
    this.#beganAt = performance.now()
    this.#ran = vm.run().then(
      (result) => this.#ended(vm, result),
      (error: unknown) => (vm === this.#current ? this.fail(error) : undefined),
    )
  }

  /** Stops the vCPUs; if the guest was faster, it waits for what becomes of the machine. */
  async #halt(): Promise<void> {
    await this.#vm.pause()
    if (this.#vm.paused) return
    await this.#ran
    if (this.#end) throw hasEnded(this.#end)
  }

  #goOn(): void {
    if (this.#vm.paused) this.#vm.resume()
    else if (!this.#vm.running) this.#run()
  }

  #ended(vm: VirtualMachine, result: RunResult): void {
    if (vm !== this.#current) return
    if (result.output.length > 0) this.#around.console.write(result.output)
    if (result.reason !== 'reset') return this.#close(endOf(result))
    // The button has the turn, and begins it anew itself.
    this.inTurn(() => (vm === this.#current ? this.#beginAnew('guest') : undefined)).catch(
      () => undefined,
    )
  }

  async #beginAnew(by: 'guest' | 'button'): Promise<void> {
    const restMs = this.#beganAt + resetRestMs - performance.now()
    const { signal } = this.#ending
    if (by === 'guest' && restMs > 0)
      await sleep(restMs, undefined, { signal }).catch(() => undefined)
    await this.replace((console) => make(this.params.definition, console))
    this.#around.emit({ event: 'reset', by })
  }

  #close(end: End): void {
    if (this.#end) return
    this.#end = end
    this.#state = end.state
    this.#current = undefined
    this.#ending.abort()
    this.#made.vm.close()
    this.#finish(end)
  }
}

/** Of its definition, or of a saved state with the disks of then. */
async function begin({ definition, from }: StartParams, console: Console): Promise<Made> {
  if (from === undefined) return make(definition, console)
  const staged = await StagedDisks.of(from, new AbortController().signal, true)
  try {
    await staged.take()
    return await make(definition, console, from)
  } finally {
    await staged.drop()
  }
}

function endOf(result: RunResult): End {
  const { reason, exitCode } = result
  const state = endState(reason)
  return {
    state,
    reason,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(state === 'crashed' ? { crash: crashIn(result) } : {}),
  }
}

function crashIn(result: RunResult): Crash {
  const sentence = result.toString()
  const isLost = result.exit?.reason === 'shutdown' && !result.exit.registersKept
  try {
    const registers = Object.entries(isLost ? {} : result.registers).map(
      ([name, value]) => [name, `0x${value.toString(16)}`] as const,
    )
    // Its first line is the sentence.
    const [, ...lines] = result.explain().toString().split('\n')
    return { sentence, registers: Object.fromEntries(registers), explanation: lines.join('\n') }
  } catch {
    return { sentence }
  }
}

function failed(error: unknown): End {
  const { code, message } = toldOf(error)
  return { state: 'crashed', reason: message, code }
}

function hasEnded({ reason }: End): ManagerError {
  return new ManagerError('ERR_STATE', `the machine has ended: ${reason}`)
}
