import { Asker } from './ask.ts'
import { checkInteger, checkUint64 } from './check.ts'
import { VmError, fail, fromFailure, isFailure, raise, take } from './errors.ts'
import type { ExitReason } from './exit.ts'
import { IrqLine } from './irq.ts'
import type { Loaded } from './loaded.ts'
import { GuestMemory } from './memory.ts'
import { native } from './native.ts'
import {
  type RunOptions,
  type RunSyncOptions,
  type VirtualMachineOptions,
  checkMachineOptions,
  checkRunOptions,
} from './options.ts'
import type { Registers, SpecialRegisters, SpecialRegistersUpdate } from './registers.ts'
import { RunResult } from './result.ts'
import { RunPromise } from './run-promise.ts'
import { BackgroundRun } from './run.ts'
import type { NativeMachine, NativeRunLimits } from './seam.ts'
import { SerialPort } from './serial.ts'
import { Vcpu } from './vcpu.ts'

/** How often a run looks around while the guest makes no exits: console text goes out, a dying worker is noticed. */
const tickMs = 20

/** The options of `runSync`; `run` has a signal beside them. */
const syncOptions = ['timeoutMs', 'onExit', 'timeKvmRun'] as const

/** What was counted since the machine was made. */
export interface Counters {
  /** VM exits by reason. */
  readonly exits: Readonly<Record<ExitReason, number>>
  /** Accesses by route, in the order of the options; every repetition of a string instruction counts. */
  readonly routes: readonly { readonly reads: number; readonly writes: number }[]
  /** Times that the vCPU waited because the ring of a `queue` or `coalesce` route was full. */
  readonly ringWaits: number
  /** Entries into the guest that a kick interrupted: a stop, a time-out, or a look around. */
  readonly kicks: number
  /** Milliseconds inside `KVM_RUN`, of those runs that had the option `timeKvmRun`. */
  readonly kvmRunMs: number
  /** Doorbells rung in this thread, for all machines together. */
  readonly doorbells: number
}

/**
 * A KVM virtual machine: memory, a vCPU in any x86 mode, and routes that say who answers its exits.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'long',
 *   payload: guests.hello,
 *   routes: [{ port: 0xe9, to: 'console' }],
 * })
 * const result = await vm.run({ timeoutMs: 1000 })
 * console.log(result.reason, result.outputText, vm.registers().rax) // hlt, Hello, world!, 42n
 * ```
 */
export class VirtualMachine implements Disposable, AsyncDisposable {
  /** Guest physical memory. */
  readonly memory: GuestMemory
  /** The vCPUs, by index. */
  readonly vcpus: readonly [Vcpu, ...Vcpu[]]
  readonly #machine: NativeMachine
  readonly #asker: Asker
  readonly #needsTicks: boolean
  readonly #hasSerial: boolean
  /** Those of the caller. */
  readonly #routes: number
  #serial: SerialPort | undefined
  #run: { background: BackgroundRun; promise: Promise<RunResult> } | undefined
  #running = false
  #closed = false

  /**
   * Makes the machine, its vCPU in front of the payload's first instruction.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_LIMIT` or `ERR_PAYLOAD` naming the option;
   * `ERR_KVM_UNAVAILABLE`, `ERR_KVM_CAPABILITY` or `ERR_KVM_IOCTL` for the host.
   */
  constructor(options: VirtualMachineOptions) {
    const [config, handlers] = checkMachineOptions(options)
    this.#machine = take(native.NativeMachine.create(config))
    this.#routes = handlers.length
    if (config.serial) {
      // The core puts its route behind the caller's.
      const onData = (bytes: Uint8Array) => this.#serial?.receive(bytes)
      handlers.push({ name: 'the serial port', onData })
    }
    this.#hasSerial = config.serial
    this.#asker = new Asker(handlers, this.#machine)
    this.#needsTicks = handlers.some(({ onData, onBatch, onEvent }) => onData ?? onBatch ?? onEvent)
    this.memory = new GuestMemory(this.#machine)
    const others = Array.from({ length: config.vcpus - 1 }, (_, index) => index + 1)
    const boot = new Vcpu(this.#machine, 0)
    this.vcpus = [boot, ...others.map((index) => new Vcpu(this.#machine, index))]
  }

  /** Whether a run is under way. */
  get running(): boolean {
    return this.#running
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Runs the guest on this thread until something ends the run. A further run goes on where it ended.
   *
   * @throws {VmError} `ERR_VM_BUSY`, `ERR_VM_CLOSED`, `ERR_UNANSWERED_READ`, `ERR_HANDLER` (with the
   * handler's own error as `cause`), `ERR_ASYNC_HANDLER`, `ERR_KVM_IOCTL`, `ERR_INVALID_OPTION`.
   */
  runSync(options?: RunSyncOptions): RunResult {
    const run = checkRunOptions(options, syncOptions)
    this.#checkReady()
    this.#begin(run, false)
    this.#running = true
    try {
      const outcome = this.#machine.runSync(limits(run, true), this.#asker.ask)
      this.#asker.drainLast()
      if (isFailure(outcome)) return raise(this.#failure(fromFailure(outcome)))
      for (const { route, bytes } of outcome.undelivered) this.#asker.deliver(route, bytes)
      if (this.#closed || this.#asker.failure) return raise(this.#failure())
      return new RunResult(outcome)
    } finally {
      this.#running = false
      this.#asker.end()
    }
  }

  /**
   * Runs the guest on a thread of its own; the event loop stays free. A further run goes on where it ended.
   * The process stays alive as long as somebody waits for the promise.
   *
   * Rejects with the errors of `runSync`, with `ERR_VM_CLOSED` when the machine is closed meanwhile, and
   * with `signal.reason` when the signal is aborted.
   */
  run(options?: RunOptions): Promise<RunResult> {
    let background: BackgroundRun | undefined
    const promise = RunPromise.make<RunResult>(
      (resolve, reject) => {
        background = this.#start(options, resolve, reject)
      },
      () => background?.hold(this),
    )
    if (background && this.#running) this.#run = { background, promise }
    // Whoever calls run() from a handler of the same run gets ERR_VM_BUSY, not a dying process.
    else if (this.#asker.isAsking) promise.catch(ignore)
    return promise
  }

  /** Ends the run in progress, whose result then has reason `'stopped'`. Without one it does nothing. */
  stop(): void {
    if (this.#run) this.#run.background.stop()
    else this.#machine.stop()
  }

  /**
   * Gives the unclaimed read that ended the last run its value: for every item, or, for a string read, a
   * `Uint8Array` of size times count bytes.
   *
   * @throws {VmError} `ERR_UNANSWERED_READ` when no read waits.
   */
  reply(value: number | bigint | Uint8Array): void {
    take(
      this.#machine.reply(value instanceof Uint8Array ? value : checkUint64('value', value, true)),
    )
  }

  /** General registers of vCPU 0. */
  registers(): Registers {
    return this.vcpus[0].registers()
  }

  /** Sets general registers of vCPU 0; those that are absent keep their value. */
  setRegisters(registers: Partial<Registers>): void {
    this.vcpus[0].setRegisters(registers)
  }

  /** Segment, descriptor-table and control registers of vCPU 0. */
  specialRegisters(): SpecialRegisters {
    return this.vcpus[0].specialRegisters()
  }

  /** Sets special registers of vCPU 0; those that are absent keep their value. */
  setSpecialRegisters(registers: SpecialRegistersUpdate): void {
    this.vcpus[0].setSpecialRegisters(registers)
  }

  /** What was put into memory before the first instruction, and where. */
  get loaded(): Loaded {
    return this.#machine.loaded() as Loaded
  }

  /**
   * The host's end of the serial port. As long as nobody asks for it, what the guest sends joins `result.output`.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` when the machine has none, `ERR_VM_CLOSED`.
   */
  get serial(): SerialPort {
    if (this.#serial) return this.#serial
    if (!this.#hasSerial)
      return fail('ERR_INVALID_OPTION', 'the machine has no serial port; make it with serial: true')
    if (this.#closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    return (this.#serial = new SerialPort(this.#machine))
  }

  /**
   * An interrupt line of a machine with an irqchip, 0 to 23.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` for another number; without an irqchip, when the line is set.
   */
  irq(line: number): IrqLine {
    return new IrqLine(this.#machine, line)
  }

  /**
   * Interrupts a vCPU of a machine without an irqchip as soon as its guest takes interrupts (KVM API, `KVM_INTERRUPT`). At any
   * time; up to 256 wait. One that waits ends a `hlt` behind `sti`, which then is no exit.
   *
   * @param vector - 0 to 255, the entry of the interrupt table.
   * @param vcpu - Index of the vCPU, default 0.
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_LIMIT` when too many wait, `ERR_VM_CLOSED`.
   */
  interrupt(vector: number, vcpu = 0): void {
    const index = checkInteger('vcpu', vcpu, 0, this.vcpus.length - 1)
    take(this.#machine.interrupt(index, checkInteger('vector', vector, 0, 255)))
  }

  /**
   * Interrupts a vCPU whether it takes interrupts or not, by vector 2 (KVM API, `KVM_NMI`).
   *
   * @param vcpu - Index of the vCPU, default 0.
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`.
   */
  nmi(vcpu = 0): void {
    take(this.#machine.nmi(checkInteger('vcpu', vcpu, 0, this.vcpus.length - 1)))
  }

  /** What was counted since the machine was made; also while it runs. */
  counters(): Counters {
    const { exits, routes, ...rest } = this.#machine.counters()
    const byReason = Object.fromEntries(exits.map(({ reason, count }) => [reason, count]))
    return {
      exits: byReason as Counters['exits'],
      routes: routes.slice(0, this.#routes),
      ...rest,
      doorbells: native.doorbells(),
    }
  }

  /**
   * Frees memory, vCPU and thread, at any moment and any number of times. A run under way rejects with
   * `ERR_VM_CLOSED`; no handler is called any more.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#machine.close(this.memory.madeBuffer)
    // What the guest posted before its end still arrives, and then no handler is called any more.
    this.#asker.drainLast()
    this.#asker.close()
    this.#serial?.finish()
    // If nobody waits for the run, its end is no unhandled rejection: it was closed on purpose.
    this.#run?.promise.catch(ignore)
    this.#run?.background.cutOff()
  }

  /** Does what `close()` does. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Does what `close()` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  #start(
    options: RunOptions | undefined,
    resolve: (result: RunResult) => void,
    reject: (error: unknown) => void,
  ): BackgroundRun | undefined {
    const run = checkRunOptions(options, [...syncOptions, 'signal'])
    const { signal } = run
    this.#checkReady()
    if (signal?.aborted) {
      reject(signal.reason)
      return undefined
    }
    this.#begin(run, true)
    this.#running = true
    const background = new BackgroundRun(this.#machine, this.#asker, signal, () => {
      this.#running = false
      this.#run = undefined
    })
    background.start(limits(run, this.#needsTicks), resolve, reject)
    return background
  }

  #begin({ onExit }: RunOptions, mayWait: boolean): void {
    this.#asker.begin(onExit, mayWait)
    if (this.#serial) this.#serial.mayWait = mayWait
  }

  #checkReady(): void {
    if (this.#closed) return raise(new VmError('ERR_VM_CLOSED', 'the machine is closed'))
    if (this.#running) {
      const what = 'the machine is running; wait for its run to end, or stop() it first'
      return raise(new VmError('ERR_VM_BUSY', what))
    }
  }

  #failure(otherwise?: VmError): VmError {
    if (this.#closed) return new VmError('ERR_VM_CLOSED', 'the machine was closed during the run')
    return this.#asker.failure ?? otherwise ?? new VmError('ERR_HANDLER', 'a handler failed')
  }
}

function ignore(): void {}

function limits({ timeoutMs, timeKvmRun = false }: RunOptions, tick: boolean): NativeRunLimits {
  return {
    timeKvmRun,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(tick ? { tickMs } : {}),
  }
}
