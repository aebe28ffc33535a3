import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'

import { VmError, raise } from '../../native/errors.ts'
import { checkWord } from '../../options/check.ts'
import { checkShape, otherwise } from '../../options/shape.ts'
import { SystemCalls } from './calls/table.ts'
import { Drive, killed } from './drive.ts'
import { Input } from './input.ts'
import { ProcessMachine } from './machine.ts'
import {
  type CheckedProcess,
  type ProcessOptions,
  type RestoredOptions,
  checkProcessOptions,
  checkProgram,
  checkRestoredOptions,
} from './options.ts'
import { Output } from './output.ts'
import { ProcessFiles } from './process-files.ts'
import { type ProcessResult, numberOfSignal } from './result.ts'
import { ProcessSnapshot } from './snapshot.ts'

const snapshotShape = {
  when: otherwise<'now' | 'waits'>('now', (name, value) =>
    checkWord(name, value, ['now', 'waits']),
  ),
}

/** A machine of a process, and what its process is given beside. */
type Begun = Pick<CheckedProcess, 'stdin' | 'timeoutMs'> & { readonly machine: ProcessMachine }

function anew(program: string | Uint8Array, options: unknown): Begun {
  const { path, image } = checkProgram(program)
  const { args, environment, cwd, mounts, memoryBytes, random, clock, ...rest } =
    checkProcessOptions(options)
  const machine = ProcessMachine.create({
    image,
    memoryBytes,
    arguments: [path, ...args],
    environment,
    files: { program: path, directory: cwd, mounts },
    ...(random !== undefined && { seed: random }),
    ...(clock !== undefined && { clock }),
  })
  return { machine, ...rest }
}

function again(snapshot: ProcessSnapshot, options: unknown): Begun {
  const { args, ...rest } = checkRestoredOptions(options)
  const machine = snapshot.take()
  if (args) machine.setArguments(args)
  return { machine, ...rest }
}

/**
 * A Linux program in ring 3 of a machine of its own: unmodified, static or dynamic, for x86-64. It
 * reaches nothing of the host but what `files` and its streams give it. It has one thread.
 *
 * It begins once the code that makes it is through, so that handlers can be set before.
 *
 * @example
 * ```ts
 * import { Process, hostFile } from 'vmexit/process'
 *
 * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
 * using p = new Process('/bin/busybox', { args: ['echo', 'hello'], files })
 * for await (const chunk of p.stdout) console.log(String(chunk)) // hello
 * console.log((await p.exited).exitCode) // 0
 * ```
 *
 * @category Process
 */
export class Process implements Disposable, AsyncDisposable {
  /** What it reads. Unless option `stdin` is given, it waits for more until `end()`. */
  readonly stdin: Writable
  /** What it writes to its standard output; after 64 KiB that are not read, it waits. */
  readonly stdout: Readable
  /** What it writes to its standard error, likewise. */
  readonly stderr: Readable
  /** Who is asked about its system calls. */
  readonly syscalls: SystemCalls
  /**
   * How it has ended, whatever it did. Rejects if the host fails: `ERR_HANDLER` with the `cause`
   * that a handler of `syscalls` threw, `ERR_KVM_IOCTL`, `ERR_LIMIT`.
   */
  readonly exited: Promise<ProcessResult>
  /** What it finds by path, as it has left it. */
  readonly files: ProcessFiles
  readonly #machine: ProcessMachine
  readonly #origin: ProcessSnapshot | undefined
  readonly #drive: Drive
  #isReleased = false

  /**
   * Loads a program: the path of an executable in `files`, or its image.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`; `ERR_PAYLOAD` for what is no such program, or is not
   * there; `ERR_LIMIT`, `ERR_KVM_UNAVAILABLE`, `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`.
   */
  constructor(program: string | Uint8Array, options?: ProcessOptions)
  /**
   * Goes on where a snapshot was taken, with streams of its own.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_SNAPSHOT`, `ERR_LIMIT`, `ERR_KVM_IOCTL`.
   */
  constructor(snapshot: ProcessSnapshot, options?: RestoredOptions)
  constructor(program: string | Uint8Array | ProcessSnapshot, options: ProcessOptions = {}) {
    const isRestored = program instanceof ProcessSnapshot
    const { machine, stdin, timeoutMs } = isRestored
      ? again(program, options)
      : anew(program, options)
    this.#origin = isRestored ? program : undefined
    this.#machine = machine
    this.files = new ProcessFiles(machine)
    const parts = {
      stdin: new Input(stdin),
      stdout: new Output(),
      stderr: new Output(),
      syscalls: new SystemCalls(() => this.#drive.watchAnew()),
      timeoutMs,
    }
    this.stdin = parts.stdin
    this.stdout = parts.stdout
    this.stderr = parts.stderr
    this.syscalls = parts.syscalls
    this.#drive = new Drive(this.#machine, parts)
    this.exited = Promise.resolve().then(() => this.#drive.run())
  }

  /**
   * Its state, for further processes: at once, or with `when: 'waits'` when it next waits for its
   * input, for room in its output, or for a time. It goes on itself.
   *
   * Rejects with `ERR_SNAPSHOT` if it is over before, or has files of the host open, which the
   * message names.
   *
   * @example
   * ```ts
   * import { Process, execute, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using first = new Process('/bin/busybox', { args: ['rev'], files })
   * using warm = await first.snapshot({ when: 'waits' })
   * console.log((await execute(warm, [], { stdin: 'abc' })).stdout) // cba
   * ```
   */
  async snapshot(options: { readonly when?: 'now' | 'waits' } = {}): Promise<ProcessSnapshot> {
    const { when } = checkShape('options', options, snapshotShape, '')
    return this.#drive.snapshot(when)
  }

  /**
   * Sends it a signal: `'SIGKILL'` ends it, whatever it does; any other does what the process has
   * said of it, or what signal(7) says. After its end it does nothing.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['sleep', '1000'], files })
   * p.kill()
   * const { reason, signal } = await p.exited
   * console.log(reason, signal) // killed SIGKILL
   * ```
   */
  kill(signal: string | number = 'SIGKILL'): void {
    const number = numberOfSignal(signal)
    if (number === constants.signals.SIGKILL) this.#drive.end(killed('SIGKILL'))
    else this.#drive.signal(number)
  }

  /**
   * Ends it, and gives its memory back. Calling it again does nothing more.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * const p = new Process('/bin/busybox', { args: ['sleep', '1000'], files })
   * p.close()
   * console.log((await p.exited).signal) // SIGKILL
   * ```
   */
  close(): void {
    this.#drive.end(killed('SIGKILL'))
    void this.exited.then(
      () => this.#release(),
      () => this.#machine.close(),
    )
  }

  #release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    if (this.#origin) this.#origin.give(this.#machine)
    else this.#machine.close()
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Does what `close()` does, and waits for it; `await using` calls it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.exited.catch((error: unknown) => (error instanceof VmError ? null : raise(error)))
  }
}
