import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'

import { VmError, raise } from '../../native/errors.ts'
import { SystemCalls } from './calls/table.ts'
import { Drive, killed } from './drive.ts'
import { Input } from './input.ts'
import { ProcessMachine } from './machine.ts'
import { type ProcessOptions, checkProcessOptions, checkProgram } from './options.ts'
import { Output } from './output.ts'
import { type ProcessResult, numberOfSignal } from './result.ts'

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
  readonly #machine: ProcessMachine
  readonly #drive: Drive

  /**
   * Loads a program: the path of an executable in `files`, or its image.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`; `ERR_PAYLOAD` for what is no such program, or not there;
   * `ERR_LIMIT`, `ERR_KVM_UNAVAILABLE`, `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`.
   */
  constructor(program: string | Uint8Array, options: ProcessOptions = {}) {
    const { path, image } = checkProgram(program)
    const { args, environment, cwd, mounts, memoryBytes, stdin, timeoutMs, random, clock } =
      checkProcessOptions(options)
    this.#machine = ProcessMachine.create({
      image,
      memoryBytes,
      arguments: [path, ...args],
      environment,
      files: { program: path, directory: cwd, mounts },
      ...(random !== undefined && { seed: random }),
      ...(clock !== undefined && { clock }),
    })
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
   * Sends it a signal: `'SIGKILL'` ends it, whatever it does; any other does what the process has
   * said of it, or what signal(7) says. After its end it does nothing.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`.
   */
  kill(signal: string | number = 'SIGKILL'): void {
    const number = numberOfSignal(signal)
    if (number === constants.signals.SIGKILL) this.#drive.end(killed('SIGKILL'))
    else this.#drive.signal(number)
  }

  /** Ends it, and gives its memory back. Calling it again does nothing more. */
  close(): void {
    this.#drive.end(killed('SIGKILL'))
    void this.exited.then(
      () => this.#machine.close(),
      () => this.#machine.close(),
    )
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
