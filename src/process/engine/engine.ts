import { VirtualMachine } from '../../index.ts'
import { Symbols } from '../../debug/symbols.ts'
import { readElf } from '../../debug/elf.ts'
import { type ProgramOptions, nativeSide, programOption, resultOf } from '../../native/friends.ts'
import { raise, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { Snapshot } from '../../machine/snapshot/snapshot.ts'
import type { Registers } from '../../results/registers.ts'
import type { RunResult } from '../../results/result.ts'
import { toStop } from './stop.ts'
import type { Engine, EngineOptions, Limits, Part, Stop } from './types.ts'

/** Where `map` begins to give memory. */
const areaStart = 0x6000_0000_0000n
const pageBytes = 4096
/** What a called function may find below its stack pointer (System V ABI, x86-64 §3.2.2). */
const redZone = 128n
/** As much of the mailbox as the gate reads. */
const callBytes = 0x78
const mailboxBytes = 0x98
/** What `userGo` has after it. */
const crossing = { rsp: 0x98, number: 0xa0, arguments: 0xa8, bytes: 0xd8 } as const
/** How often the native side looks whether this thread is still to run. */
const tickMs = 20

/** What it calls for that: a thread that ends answers nothing. */
function alive(): number {
  return 0
}

const { NativeCall: Call } = native
const returned: Stop = { kind: 'returned' }

/** A program of an image, before its first instruction. */
export function createEngine(image: Uint8Array, options: EngineOptions): Engine {
  const { memoryBytes, args, env, spinMs } = options
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const program: ProgramOptions = {
    [programOption]: { arguments: [...args], environment },
  }
  const vm = new VirtualMachine({
    mode: 'long',
    privilege: 'user',
    faults: 'report',
    memoryBytes,
    payload: { image },
    ...program,
  })
  try {
    return new MachineEngine(vm, image, spinMs ?? -1)
  } catch (error) {
    vm.close()
    return raise(error)
  }
}

class MachineEngine implements Engine {
  readonly base: bigint
  readonly entry: bigint | undefined
  readonly #vm: VirtualMachine
  readonly #native: NativeMachine
  readonly #image: Uint8Array
  /** Negative unless the vCPU waits for calls. */
  readonly #spinMs: number
  /** What crosses to the native side and back with a call: the mailbox, and more. */
  readonly #words = new Uint8Array(crossing.bytes)
  readonly #crossing = new DataView(this.#words.buffer)
  readonly #mailbox = this.#words.subarray(0, mailboxBytes)
  readonly #arguments = this.#words.subarray(0, callBytes)
  #view = new DataView(this.#words.buffer, 0, mailboxBytes)
  /** Asked twice a call; the machine's own answer is a crossing. */
  #isClosed = false
  #symbols: Symbols | undefined
  #rsp: bigint
  #mapped = areaStart
  #kept: { snapshot: Snapshot; rsp: bigint; mapped: bigint } | undefined

  constructor(vm: VirtualMachine, image: Uint8Array, spinMs: number) {
    this.#spinMs = spinMs
    this.#vm = vm
    this.#native = vm[nativeSide]
    this.#image = image
    const { base, entry, stack } = take(this.#native.userProgram())
    this.base = base
    this.entry = entry ? entry : undefined
    this.#rsp = stack
  }

  get closed(): boolean {
    return this.#isClosed
  }

  get mailbox(): DataView {
    return this.#view
  }

  symbol(name: string): bigint | undefined {
    const symbols = (this.#symbols ??= Symbols.of(this.#image))
    const found = symbols.find(name)
    return found === undefined ? undefined : found + this.base
  }

  section(name: string): Part | undefined {
    const found = readElf(this.#image)?.sections.find((each) => each.name === name)
    return found && { address: found.address + this.base, bytes: found.bytes }
  }

  registers(): Registers {
    return this.#vm.registers()
  }

  read(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    take(this.#native.userRead(address, bytes))
    return bytes
  }

  write(address: bigint, bytes: Uint8Array): void {
    take(this.#native.userWrite(address, bytes))
  }

  map(bytes: number): bigint {
    const whole = Math.ceil(bytes / pageBytes) * pageBytes
    const start = this.#mapped
    take(this.#native.userMap(start, whole))
    this.#mapped += BigInt(whole)
    return start
  }

  startSync(limits: Limits): Stop {
    return this.#started(this.#runSync(limits))
  }

  async start(limits: Limits): Promise<Stop> {
    return this.#started(await this.#run(limits))
  }

  callSync(stack: readonly bigint[], limits: Limits): Stop {
    this.#crossing.setBigUint64(crossing.rsp, this.#stackOf(stack), true)
    return this.#go(false, limits)
  }

  async call(stack: readonly bigint[], limits: Limits): Promise<Stop> {
    take(this.#native.userCall(this.#stackOf(stack), this.#arguments))
    return this.#returned(await this.#run(limits))
  }

  answerSync(rax: bigint, limits: Limits): Stop {
    this.#crossing.setBigUint64(crossing.number, rax, true)
    return this.#go(true, limits)
  }

  async answer(rax: bigint, limits: Limits): Promise<Stop> {
    take(this.#native.userAnswer(rax))
    return this.#returned(await this.#run(limits))
  }

  snapshot(): void {
    this.#kept?.snapshot.close()
    const snapshot = this.#vm.snapshot()
    this.#kept = { snapshot, rsp: this.#rsp, mapped: this.#mapped }
  }

  reset(): void {
    if (!this.#kept) return
    this.#vm.restore(this.#kept.snapshot)
    this.#rsp = this.#kept.rsp
    this.#mapped = this.#kept.mapped
  }

  close(): void {
    this.#isClosed = true
    this.#view = new DataView(new ArrayBuffer(0))
    this.#vm.close()
    this.#kept?.snapshot.close()
  }

  /** Where the program has left its stack is where calls begin. */
  #started(stop: Stop): Stop {
    if (stop.kind === 'call') this.#rsp = stop.rsp
    else if (stop.kind === 'exit') this.#rsp = this.#vm.registers().rsp
    return stop
  }

  /** The stack pointer of a call, with these words on the stack. */
  #stackOf(stack: readonly bigint[]): bigint {
    const top = (this.#rsp - redZone) & ~0xfn
    const rsp = (top - BigInt(stack.length * 8)) & ~0xfn
    if (stack.length > 0) this.write(rsp, new Uint8Array(BigUint64Array.from(stack).buffer))
    return rsp
  }

  /** One crossing to the native side: a call, or the answer to a system call. */
  #go(answers: boolean, { timeoutMs }: Limits): Stop {
    const words = this.#crossing
    const most = timeoutMs ?? -1
    const ended = this.#native.userGo(answers, this.#words, most, tickMs, this.#spinMs, alive)
    if (ended === Call.Returned) return returned
    if (ended === Call.Asked) {
      const number = words.getBigUint64(crossing.number, true)
      const rsp = words.getBigUint64(crossing.rsp, true)
      const args = Array.from({ length: 6 }, (_, index) =>
        words.getBigUint64(crossing.arguments + index * 8, true),
      )
      return { kind: 'call', number, arguments: args, rsp }
    }
    if (ended === Call.Exited) return { kind: 'exit', code: words.getInt32(crossing.number, true) }
    return this.#stop(this.#vm[resultOf](ended))
  }

  #returned(stop: Stop): Stop {
    if (stop.kind === 'returned') take(this.#native.userMailbox(this.#mailbox))
    return stop
  }

  #runSync({ timeoutMs }: Limits): Stop {
    return this.#stop(this.#vm.runSync(timeoutMs === undefined ? undefined : { timeoutMs }))
  }

  async #run({ timeoutMs, signal }: Limits): Promise<Stop> {
    const limits = {
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal !== undefined && { signal }),
    }
    return this.#stop(await this.#vm.run(limits))
  }

  #stop(result: RunResult): Stop {
    return toStop(result, this.#native)
  }
}
