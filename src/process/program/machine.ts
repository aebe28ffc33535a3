import { VirtualMachine } from '../../index.ts'
import { take } from '../../native/errors.ts'
import { type ProgramOptions, nativeSide, programOption } from '../../native/friends.ts'
import type { NativeEntry, NativeFiles, NativeMachine } from '../../native/seam.ts'
import type { Snapshot } from '../../machine/snapshot/snapshot.ts'
import type { Registers } from '../../results/registers.ts'
import { stopOf, toStop } from '../engine/stop.ts'
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
    return rax ?? stopOf(this.#native)!
  }

  /** Sends a signal. Whether it interrupts a call that waits for its answer. */
  signal(signal: number): boolean {
    return take(this.#native.userSignal(signal))
  }

  /** Looks at the timer that sends SIGALRM: what is left, and whether a call is interrupted. */
  timer(): { leftMs?: number; interrupts: boolean } {
    return take(this.#native.userTimer())
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

  /** All bytes of a file that the program finds at a path. */
  file(path: string): Uint8Array {
    return take(this.#native.userFile(path))
  }

  /** What is in a directory of the program's. */
  list(path: string): NativeEntry[] {
    return take(this.#native.userList(path))
  }

  /** Files of the host that the program has open, by its own paths. */
  hostFiles(): string[] {
    return take(this.#native.userHostFiles())
  }

  /** What `/proc/self/cmdline` has from now on. */
  setArguments(all: readonly string[]): void {
    take(this.#native.userArguments([...all]))
  }

  /** Why it stands still, if it does so for its host. */
  pending(): Stop | undefined {
    return stopOf(this.#native)
  }

  /** A further machine, in the state of a snapshot. */
  static fork(snapshot: Snapshot): ProcessMachine {
    return new ProcessMachine(new VirtualMachine({ snapshot }))
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
