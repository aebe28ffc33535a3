import type { Calls } from './calls.ts'
import type { Engine } from './engine/types.ts'
import type { Heap } from './heap.ts'
import { LibraryMemory } from './memory.ts'
import type { AsyncOf, FunctionOf } from './values/typed.ts'
import type { Texts } from './texts.ts'

/**
 * The functions of a library, each by its name. Where only the image knows them they are of any
 * type, unless they are named: `instantiate<{ add: 'i32(i32, i32)' }>(image)`.
 *
 * @category Process
 */
export type LibraryExports<E extends Record<string, string>> = string extends keyof E
  ? // oxlint-disable-next-line typescript/no-explicit-any
    any
  : { readonly [K in keyof E]: FunctionOf<E[K]> }

/**
 * The same functions, each returning a promise.
 *
 * @category Process
 */
export type AsyncExports<E extends Record<string, string>> = string extends keyof E
  ? // oxlint-disable-next-line typescript/no-explicit-any
    any
  : { readonly [K in keyof E]: AsyncOf<FunctionOf<E[K]>> }

/** What a library is made of. @internal */
export interface LibraryParts<E extends Record<string, string>> {
  readonly engine: Engine
  readonly heap: Heap
  readonly texts: Texts
  readonly calls: Calls
  readonly exports: LibraryExports<E>
  readonly async: AsyncExports<E>
}

/**
 * Native code in a machine of its own, as `instantiate` gives it. It does one thing at a time: a
 * call during another one, from an import or beside a promise, is `ERR_VM_BUSY`.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { instantiate } from 'vmexit/process'
 *
 * using lib = await instantiate(await readFile('lib.elf'), {
 *   exports: { add: 'i32(i32, i32)' },
 * })
 * console.log(lib.exports.add(40, 2)) // 42
 * ```
 *
 * @category Process
 */
export class Library<E extends Record<string, string> = Record<string, string>>
  implements Disposable, AsyncDisposable
{
  /**
   * The functions, each by its name. A call blocks this thread until the function returns.
   *
   * They throw a TypeError for what is no value of the signature's type, and for too few or too
   * many arguments; a RangeError for a value out of range; `GuestFault` and `GuestTimeout` for what
   * the library does; and `VmError` with `ERR_VM_BUSY` during another call, or until `reset()`
   * after one that did not end, `ERR_HANDLER` if an import throws, `ERR_ASYNC_HANDLER` if it
   * returns a promise, `ERR_VM_CLOSED`, `ERR_LIMIT`, `ERR_KVM_IOCTL`.
   */
  readonly exports: LibraryExports<E>
  /**
   * The same functions, run on a thread of their own: they return a promise, which rejects with
   * what the others throw. Imports may return promises to them.
   */
  readonly async: AsyncExports<E>
  /** The library's memory, by its own addresses. */
  readonly memory: LibraryMemory
  readonly #engine: Engine
  readonly #heap: Heap
  readonly #texts: Texts
  readonly #calls: Calls

  /** @internal */
  constructor({ engine, heap, texts, calls, exports, async }: LibraryParts<E>) {
    this.#engine = engine
    this.#heap = heap
    this.#texts = texts
    this.#calls = calls
    this.exports = exports
    this.async = async
    this.memory = new LibraryMemory(engine)
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#engine.closed
  }

  /**
   * The address of so many bytes, aligned to 16, for arguments and results. They are of an area of
   * their own, not of the library's `malloc`, and hold what they held before.
   *
   * @throws {VmError} `ERR_LIMIT` if `memoryBytes` are used up, `ERR_INVALID_OPTION`; if more has
   * to be mapped `ERR_VM_BUSY` while the library runs for `lib.async`, and `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'), {
   *   exports: { sum: 'f64(ptr, usize)' },
   * })
   * const numbers = new Float64Array([0.5, 1.5, 40])
   * const at = lib.alloc(numbers.byteLength)
   * lib.memory.write(at, new Uint8Array(numbers.buffer))
   * console.log(lib.exports.sum(at, numbers.length)) // 42
   * lib.free(at)
   * ```
   */
  alloc(bytes: number): number {
    return this.#heap.alloc(bytes)
  }

  /**
   * Gives back what `alloc` gave.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` for any other address, and for one that is free already.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'))
   * const at = lib.alloc(100)
   * lib.free(at)
   * console.log(lib.alloc(100) === at) // true
   * ```
   */
  free(address: number): void {
    this.#heap.free(address)
  }

  /**
   * Goes back to the state right after the start: memory, registers, and what `alloc` gave, which
   * is free then. After a fault or a time-out the library takes calls again.
   *
   * @throws {VmError} `ERR_VM_BUSY` during a call, `ERR_VM_CLOSED`, `ERR_KVM_IOCTL`.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * using lib = await instantiate(await readFile('lib.elf'), { exports: { count: 'i32()' } })
   * lib.exports.count()
   * lib.exports.count()
   * lib.reset()
   * console.log(lib.exports.count()) // 1
   * ```
   */
  reset(): void {
    this.#calls.mend(() => {
      this.#engine.reset()
      this.#heap.clear()
      this.#texts.renew()
    })
  }

  /**
   * Ends the machine and gives its memory back. A call through `async` rejects with
   * `ERR_VM_CLOSED`. Calling it again does nothing more.
   *
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   * import { instantiate } from 'vmexit/process'
   *
   * const lib = await instantiate(await readFile('lib.elf'))
   * lib.close()
   * console.log(lib.closed) // true
   * ```
   */
  close(): void {
    this.#engine.close()
    this.#calls.close()
  }

  /** Does what `close()` does; `using` calls it. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** Does what `close()` does; `await using` calls it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close()
    return Promise.resolve()
  }
}
