import { fail, invalid, raise, showThrown, VmError } from '../../../native/errors.ts'
import { numberOf } from './names.ts'

/**
 * The memory of a process that has made a system call, by its own addresses.
 *
 * @category Process
 */
export interface CallMemory {
  /**
   * A copy. `ERR_GUEST_MEMORY` unless the process itself could read all of it.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['echo', 'hello'], files })
   * p.syscalls.set('write', (call, next) => {
   *   const bytes = call.memory.read(call.args[1]!, Number(call.args[2]))
   *   console.log(String(Buffer.from(bytes))) // hello
   *   return next()
   * })
   * await p.exited
   * ```
   */
  read(address: bigint, length: number): Uint8Array
  /**
   * All or nothing. `ERR_GUEST_MEMORY` unless the process itself could write there.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['cat'], files })
   * let asked = 0
   * p.syscalls.set('read', ({ args, memory }) => {
   *   if (asked++ > 0) return 0
   *   memory.write(args[1]!, Buffer.from('of a hook'))
   *   return 9
   * })
   * for await (const chunk of p.stdout) console.log(String(chunk)) // of a hook
   * ```
   */
  write(address: bigint, bytes: Uint8Array): void
  /**
   * What stands before a NUL, as UTF-8; at most 4096 bytes.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['mkdir', '/made'], files })
   * p.syscalls.set('mkdir', ({ args, memory }) => {
   *   console.log(memory.readString(args[0]!)) // /made
   *   return 0
   * })
   * await p.exited
   * ```
   */
  readString(address: bigint): string
}

/**
 * A system call that a process has made.
 *
 * @category Process
 */
export interface SystemCall {
  /** As in the kernel's table; `syscall_500` for a number that has no name. */
  readonly name: string
  /** RAX. */
  readonly number: number
  /** RDI, RSI, RDX, R10, R8, R9, whichever of them it has. */
  readonly args: readonly bigint[]
  /** Its memory, until the call is answered. */
  readonly memory: CallMemory
}

/**
 * Answers a system call, or watches it: it returns RAX, a negative errno for a failure, now or
 * later. `next()` has it answered as if nothing watched, once.
 *
 * @category Process
 */
export type SystemCallHandler = (
  call: SystemCall,
  next: () => Promise<bigint>,
) => bigint | number | Promise<bigint | number>

/**
 * Who is asked about which system calls, by their names; `'*'` is asked about all that have no
 * handler of their own.
 *
 * @example
 * ```ts
 * import { Process, hostFile } from 'vmexit/process'
 *
 * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
 * using p = new Process('/bin/busybox', { args: ['cat', '/etc/passwd'], files })
 * p.syscalls.set('openat', (call, next) => {
 *   console.log(call.memory.readString(call.args[1]!)) // /etc/passwd
 *   return next()
 * })
 * p.syscalls.set('uname', () => -1n) // EPERM
 * await p.exited
 * ```
 *
 * @category Process
 */
export class SystemCalls {
  readonly #handlers = new Map<string, SystemCallHandler>()
  readonly #changed: () => void

  /** @internal */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  /**
   * Asks `handler` about a call from now on.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` for a name that is no system call, or no function.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['id', '-u'], files })
   * p.syscalls.set('getuid', () => 7).set('geteuid', () => 7)
   * for await (const chunk of p.stdout) console.log(String(chunk)) // 7
   * ```
   */
  set(name: string, handler: SystemCallHandler): this {
    if (typeof handler !== 'function') return invalid('handler', 'a function', handler)
    if (name !== '*') numberOf(name)
    this.#handlers.set(name, handler)
    this.#changed()
    return this
  }

  /**
   * No longer asks about a call; whether there was a handler.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['true'], files })
   * p.syscalls.set('openat', () => -1n)
   * console.log(p.syscalls.delete('openat'), p.syscalls.delete('openat')) // true false
   * ```
   */
  delete(name: string): boolean {
    const was = this.#handlers.delete(name)
    if (was) this.#changed()
    return was
  }

  /**
   * Whether a call has a handler of its own.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['true'], files })
   * p.syscalls.set('openat', () => -1n)
   * console.log(p.syscalls.has('openat'), p.syscalls.has('read')) // true false
   * ```
   */
  has(name: string): boolean {
    return this.#handlers.has(name)
  }

  /**
   * The handler of a call, or that of all.
   *
   * @example
   * ```ts
   * import { Process, hostFile } from 'vmexit/process'
   *
   * const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
   * using p = new Process('/bin/busybox', { args: ['true'], files })
   * p.syscalls.set('*', (_call, next) => next())
   * console.log(typeof p.syscalls.get('openat')) // function
   * ```
   */
  get(name: string): SystemCallHandler | undefined {
    return this.#handlers.get(name) ?? this.#handlers.get('*')
  }

  /** The numbers of the calls that are asked about. @internal */
  get watched(): { numbers: readonly number[]; all: boolean } {
    const own = [...this.#handlers.keys()].filter((name) => name !== '*')
    return { numbers: own.map(numberOf), all: this.#handlers.has('*') }
  }
}

/** What a handler answers; what it throws is an error of its own. */
export async function askHandler(
  handler: SystemCallHandler,
  call: SystemCall,
  next: () => Promise<bigint>,
): Promise<bigint> {
  const answer = await answered(handler, call, next)
  if (typeof answer === 'bigint') return BigInt.asUintN(64, answer)
  if (typeof answer === 'number' && Number.isSafeInteger(answer))
    return BigInt.asUintN(64, BigInt(answer))
  const what = `the handler of ${call.name} must return a bigint or a whole number`
  return fail('ERR_HANDLER', what)
}

async function answered(
  handler: SystemCallHandler,
  call: SystemCall,
  next: () => Promise<bigint>,
): Promise<unknown> {
  try {
    return await handler(call, next)
  } catch (cause) {
    const message = `the handler of ${call.name} failed: ${showThrown(cause)}`
    return raise(new VmError('ERR_HANDLER', message, { cause }))
  }
}
