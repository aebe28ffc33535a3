import { constants } from 'node:os'

import { VmError, fail, raise } from '../../native/errors.ts'
import type { CallStop, Stop } from '../engine/types.ts'
import { Alarm } from './alarm.ts'
import { type Host, negative } from './calls/context.ts'
import { answer } from './calls/host.ts'
import { nameOf } from './calls/names.ts'
import { type CallMemory, type SystemCalls, askHandler } from './calls/table.ts'
import { Waits } from './calls/waits.ts'
import type { Input } from './input.ts'
import type { ProcessMachine } from './machine.ts'
import type { Output } from './output.ts'
import { type Ending, type ProcessResult, nameOfSignal, signalOf } from './result.ts'
import { ProcessSnapshot } from './snapshot.ts'

const { EINTR } = constants.errno
/** PATH_MAX. */
const MOST_STRING_BYTES = 4096
const PAGE_BYTES = 4096
/** What is counted apart: a number above is counted as this one, as the kernel counts. */
const MOST_NUMBER = 512
/** What a process of one thread cannot have, and is told of. */
const THREADS = new Set(['clone', 'clone3', 'fork', 'vfork'])
const TIMERS = new Set(['alarm', 'setitimer'])

/** A snapshot that is waited for. */
interface Wish {
  readonly when: 'now' | 'waits'
  readonly resolve: (snapshot: ProcessSnapshot) => void
  readonly reject: (error: unknown) => void
}

/** The streams of a process, and who is asked about its calls. */
export interface DriveParts {
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly syscalls: SystemCalls
  readonly timeoutMs: number | undefined
}

/** Runs a process to its end: runs of its machine, and answers in between. */
export class Drive implements Host {
  readonly machine: ProcessMachine
  readonly stdin: Input
  readonly stdout: Output
  readonly stderr: Output
  readonly waits = new Waits(() => this.#grant(true))
  readonly #syscalls: SystemCalls
  readonly #timeoutMs: number | undefined
  readonly #refused = new Map<number, number>()
  /** How it ends, once that is known. */
  #ending: Ending | undefined
  #tellOver: (rax: bigint) => void = () => undefined
  /** Comes when it has ended. */
  readonly #over = new Promise<bigint>((resolve) => (this.#tellOver = resolve))
  #isRunning = false
  #watchIsNew = true
  #hasBegun = false
  readonly #signals: number[] = []
  readonly #alarm: Alarm
  #hasRung = false
  readonly #wishes: Wish[] = []

  constructor(machine: ProcessMachine, parts: DriveParts) {
    this.machine = machine
    this.stdin = parts.stdin
    this.stdout = parts.stdout
    this.stderr = parts.stderr
    this.#syscalls = parts.syscalls
    this.#timeoutMs = parts.timeoutMs
    this.#alarm = new Alarm(machine, () => this.#rings())
  }

  /** From where it stands. */
  async run(): Promise<ProcessResult> {
    const begun = performance.now()
    const counted = this.machine.counts()
    const end = this.#timeoutMs === undefined ? undefined : begun + this.#timeoutMs
    const timer =
      this.#timeoutMs === undefined
        ? undefined
        : setTimeout(() => this.end({ ...killed('SIGKILL'), reason: 'timeout' }), this.#timeoutMs)
    try {
      this.#alarm.look()
      const first = this.machine.pending()
      if (first && !this.#ending) await this.#serve(first, end)
      while (!this.#ending) await this.#step(end)
      this.#ended(this.#ending)
      const { counts, refused } = this.#counted(counted)
      const durationMs = performance.now() - begun
      return { ...this.#ending, durationMs, syscalls: counts, refused }
    } catch (error) {
      this.#ended(killed('SIGKILL'))
      raise(error)
    } finally {
      clearTimeout(timer)
      this.#alarm.stop()
      this.waits.end()
      this.stdout.finish()
      this.stderr.finish()
      this.stdin.destroy()
    }
  }

  /** Ends it, whatever it does. The first one counts. */
  end(ending: Ending): void {
    this.#ending ??= ending
    this.waits.end()
    this.#tellOver(0n)
    if (this.#isRunning) this.machine.stop()
  }

  /** Sends it a signal, which is delivered when it goes on. */
  signal(signal: number): void {
    if (this.#ending) return
    this.#signals.push(signal)
    if (this.#isRunning) this.machine.stop()
    else if (this.#hasBegun) this.#sendSignals()
  }

  #rings(): void {
    this.#hasRung = true
    if (this.#isRunning) this.machine.stop()
    else this.#lookAtAlarm()
  }

  #lookAtAlarm(): void {
    this.#hasRung = false
    if (this.#alarm.look()) this.waits.interrupt(negative(EINTR))
  }

  #sendSignals(): void {
    for (const signal of this.#signals.splice(0))
      if (this.machine.signal(signal)) this.waits.interrupt(negative(EINTR))
  }

  /** Takes a snapshot: at once, or when it waits for its host. */
  snapshot(when: 'now' | 'waits'): Promise<ProcessSnapshot> {
    return new Promise((resolve, reject) => {
      this.#wishes.push({ when, resolve, reject })
      if (this.#isRunning && when === 'now') this.machine.stop()
      if (!this.#isRunning) this.#grant(this.waits.isWaiting)
    })
  }

  /** Takes the snapshots that are wanted, while it stands still. */
  #grant(isWaiting: boolean): void {
    const granted = this.#wishes.filter(({ when }) => when === 'now' || isWaiting)
    for (const wish of granted) {
      this.#wishes.splice(this.#wishes.indexOf(wish), 1)
      try {
        if (this.#ending) fail('ERR_SNAPSHOT', 'the process is over')
        const open = this.machine.hostFiles()
        if (open.length > 0) {
          const what = `the process has files of the host open: ${open.join(', ')}`
          fail('ERR_SNAPSHOT', `${what}; take the snapshot when they are closed`)
        }
        wish.resolve(new ProcessSnapshot(this.machine.snapshot()))
      } catch (error) {
        wish.reject(error)
      }
    }
  }

  #ended(ending: Ending): void {
    this.#ending ??= ending
    this.#grant(true)
  }

  /** Handlers have come or gone. */
  watchAnew(): void {
    this.#watchIsNew = true
    if (this.#isRunning) this.machine.stop()
  }

  refuse(asked: number): void {
    const number = Math.min(asked, MOST_NUMBER)
    const before = this.#refused.get(number) ?? 0
    this.#refused.set(number, before + 1)
    const name = nameOf(number)
    if (before === 0 && THREADS.has(name))
      this.stderr.put(Buffer.from(`vmexit: ${name}: a process has one thread here (ENOSYS)\n`))
  }

  async #step(end: number | undefined): Promise<void> {
    if (this.#watchIsNew) {
      const { numbers, all } = this.#syscalls.watched
      this.machine.watch(numbers, all)
      this.#watchIsNew = false
    }
    this.#hasBegun = true
    this.#sendSignals()
    if (this.#hasRung) this.#lookAtAlarm()
    const timeoutMs = end === undefined ? undefined : Math.max(0, end - performance.now())
    this.#isRunning = true
    const stop = await this.machine
      .run(timeoutMs === undefined ? {} : { timeoutMs })
      .finally(() => (this.#isRunning = false))
    this.#grant(false)
    this.#sendSignals()
    await this.#serve(stop, end)
  }

  async #serve(stop: Stop, end: number | undefined): Promise<void> {
    switch (stop.kind) {
      case 'call': {
        const rax = await this.#answer(stop)
        this.waits.forget()
        if (this.#ending) return
        if (TIMERS.has(nameOf(Number(stop.number)))) this.#alarm.look()
        this.machine.answer(rax)
        return
      }
      case 'exit':
        return this.end({ exitCode: stop.code, signal: null, reason: 'exit' })
      case 'fault': {
        const { fault } = stop
        const told = { ...killed(signalOf(fault.vector)), fault, autopsy: stop.explain() }
        return this.end({ ...told, reason: 'fault' })
      }
      case 'timeout':
        // Stopped to be told of something, or at its end.
        if (end !== undefined && performance.now() >= end)
          this.end({ ...killed('SIGKILL'), reason: 'timeout' })
        return
      case 'killed':
        return this.end(killed(nameOfSignal(stop.code)))
      case 'returned':
        return raise(new VmError('ERR_INTERNAL', 'a process returned from a call'))
    }
  }

  async #answer(call: CallStop): Promise<bigint> {
    const number = Number(call.number)
    const handler = this.#syscalls.get(nameOf(number))
    if (!handler) return answer(this, call)
    const told = {
      name: nameOf(number),
      number,
      args: call.arguments,
      memory: memoryOf(this.machine),
    }
    let [next, isOver]: [Promise<bigint> | undefined, boolean] = [undefined, false]
    const asked = askHandler(handler, told, () => {
      if (isOver) fail('ERR_HANDLER', `the handler of ${told.name} has answered: no next()`)
      next ??= this.#next(call)
      // Whether the handler waits for it is its own affair.
      next.catch(() => undefined)
      return next
    })
    // What is over waits for no handler, and hears no more of it.
    asked.catch(() => undefined)
    try {
      return await Promise.race([asked, this.#over])
    } finally {
      isOver = true
      // What a handler has asked for and not waited for.
      this.waits.interrupt(negative(EINTR))
    }
  }

  /** As if nothing watched. */
  async #next(call: CallStop): Promise<bigint> {
    const went = this.machine.goOn()
    if (typeof went === 'bigint') return BigInt.asIntN(64, went)
    if (went.kind === 'call') return BigInt.asIntN(64, await answer(this, call))
    await this.#serve(went, undefined)
    return 0n
  }

  #counted(before: readonly number[]): {
    counts: Record<string, number>
    refused: Record<string, number>
  } {
    const counts = this.machine
      .counts()
      .map((count, number) => [nameOf(number), count - before[number]!] as const)
      .filter(([, count]) => count > 0)
    const refused = [...this.#refused].map(([number, count]) => [nameOf(number), count] as const)
    return { counts: Object.fromEntries(counts), refused: Object.fromEntries(refused) }
  }
}

/** What a signal leaves. */
export function killed(signal: string): Ending {
  return { exitCode: null, signal, reason: 'killed' }
}

function memoryOf(machine: ProcessMachine): CallMemory {
  return {
    read: (address, length) => machine.read(address, length),
    write: (address, bytes) => machine.write(address, bytes),
    readString: (address) => readString(machine, address),
  }
}

function readString(machine: ProcessMachine, address: bigint): string {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for (let at = address; bytes <= MOST_STRING_BYTES;) {
    const piece = machine.read(at, PAGE_BYTES - Number(at % BigInt(PAGE_BYTES)))
    const nul = piece.indexOf(0)
    pieces.push(nul < 0 ? piece : piece.subarray(0, nul))
    if (nul >= 0) break
    bytes += piece.length
    at += BigInt(piece.length)
  }
  return Buffer.concat(pieces).toString().slice(0, MOST_STRING_BYTES)
}
