import { VirtualMachine } from '../../index.ts'
import { VmError, raise, take } from '../../native/errors.ts'
import { type ProgramOptions, nativeSide, programOption } from '../../native/friends.ts'
import type { NativeFiles, NativeMachine } from '../../native/seam.ts'
import type { Snapshot } from '../../machine/snapshot/snapshot.ts'
import type { Registers } from '../../results/registers.ts'
import { toStop } from '../engine/stop.ts'
import type { Limits, Stop } from '../engine/types.ts'

/** What a machine of a process is made with. */
export interface MachineParts {
  readonly image: Uint8Array
  readonly memoryBytes: number
  readonly arguments: string[]
  readonly environment: string[]
  readonly files: NativeFiles
  readonly seed?: bigint
  readonly clock?: number
}

/** A process in ring 3 of a machine. It stands still between these calls. */
export class ProcessMachine {
  readonly #vm: VirtualMachine
  readonly #native: NativeMachine

  constructor(vm: VirtualMachine) {
    this.#vm = vm
    this.#native = vm[nativeSide]
  }

  static create({ image, memoryBytes, ...user }: MachineParts): ProcessMachine {
    const program: ProgramOptions = { [programOption]: user }
    const options = {
      mode: 'long',
      privilege: 'user',
      faults: 'report',
      memoryBytes,
      payload: { image },
      ...program,
    } as const
    return new ProcessMachine(new VirtualMachine(options))
  }

  /** Runs until it asks, or is over; an aborted signal rejects. */
  async run({ timeoutMs, signal }: Limits): Promise<Stop> {
    const limits = {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal !== undefined && { signal }),
    }
    return toStop(await this.#vm.run(limits), this.#native)
  }

  /** Ends a run as one that is stopped; the next one goes on. */
  stop(): void {
    this.#vm.stop()
  }

  /** RAX of the call that has ended the run. */
  answer(rax: bigint): void {
    take(this.#native.userAnswer(BigInt.asUintN(64, rax)))
  }

  /** Lets the kernel answer that call: RAX, or why it cannot. */
  goOn(): bigint | Stop {
    const rax = take(this.#native.userGoOn())
    if (rax !== null) return rax
    const { kind, code, number, arguments: words, rsp, stream } = take(this.#native.userStop())
    if (kind === 'exit' || kind === 'killed') return { kind, code: code! }
    const told = { number: number!, arguments: words!, rsp: rsp! }
    return { kind: 'call', ...told, ...(stream !== undefined && { stream }) }
  }

  /** Sends a signal. Whether it interrupts a call that waits for its answer. */
  signal(signal: number): boolean {
    return take(this.#native.userSignal(signal))
  }

  /** Which calls end a run before they are answered. */
  watch(numbers: readonly number[], all: boolean): void {
    take(this.#native.userWatch([...numbers], all))
  }

  /** The stream that a descriptor leads to, if it is one: 0, 1 or 2. */
  stream(descriptor: number): number | undefined {
    return this.#native.userStream(descriptor) ?? undefined
  }

  registers(): Registers {
    return this.#vm.registers()
  }

  /** A copy. `ERR_GUEST_MEMORY` unless the program could read there. */
  read(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    take(this.#native.userRead(address, bytes))
    return bytes
  }

  /** All or nothing. `ERR_GUEST_MEMORY` unless the program could write there. */
  write(address: bigint, bytes: Uint8Array): void {
    take(this.#native.userWrite(address, bytes))
  }

  /** How often each call came, by its number. */
  counts(): readonly number[] {
    return take(this.#native.userCounts())
  }

  file(path: string): Uint8Array {
    return take(this.#native.userFile(path))
  }

  snapshot(): Snapshot {
    return this.#vm.snapshot()
  }

  restore(snapshot: Snapshot): void {
    this.#vm.restore(snapshot)
  }

  get closed(): boolean {
    return this.#vm.closed
  }

  close(): void {
    this.#vm.close()
  }
}

/** Gives `undefined` for memory that the program does not have. */
export function tryMemory<T>(access: () => T): T | undefined {
  try {
    return access()
  } catch (cause) {
    const isHole = cause instanceof VmError && cause.code === 'ERR_GUEST_MEMORY'
    return isHole ? undefined : raise(cause)
  }
}
