import { fail, raise } from '../native/errors.ts'
import { checkBytes, steady } from '../options/check.ts'
import { suggestion } from '../options/nearest.ts'
import { Calls, type Target } from './calls.ts'
import { createEngine } from './engine/engine.ts'
import type { Engine } from './engine/types.ts'
import { GuestFault } from './faults.ts'
import { Heap } from './heap.ts'
import { bindImports } from './imports.ts'
import { type AsyncExports, Library, type LibraryExports } from './library.ts'
import { type InstantiateOptions, checkInstantiateOptions } from './options.ts'
import { type Declared, SECTION, readDeclarations } from './section.ts'
import { Texts } from './texts.ts'
import { type Guest, Marshaller } from './values/marshal.ts'
import { parseSignature } from './values/signature.ts'

/**
 * Loads native code into a machine of its own, and starts it: a static ELF image for x86-64 Linux,
 * made by C, C++, Rust or Zig, with a libc or without. `_start`, if there is one, runs until its
 * first `pause()` or the return of `main`; then functions can be called, until `close()`.
 *
 * @throws {VmError} `ERR_INVALID_OPTION`, also for an export that the image does not have and an
 * import that is not given; `ERR_PAYLOAD` for what is no such image; `ERR_LIMIT`,
 * `ERR_KVM_UNAVAILABLE`, `ERR_KVM_CAPABILITY`, `ERR_KVM_IOCTL`. `GuestFault` and `GuestTimeout`, if
 * the start ends so.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { instantiate } from 'vmexit/process'
 *
 * const heard: unknown[] = []
 * using lib = await instantiate(await readFile('greeter.elf'), {
 *   exports: { greet: 'void(cstr)', add: 'i32(i32, i32)' },
 *   imports: { say: ['void(cstr)', (text) => heard.push(text)] },
 *   timeoutMs: 1000,
 * })
 * lib.exports.greet('hello')
 * console.log(lib.exports.add(40, 2), heard) // 42 [ 'hello' ]
 * ```
 *
 * @category Process
 */
export async function instantiate<
  const E extends Record<string, string> = Record<string, string>,
  const I extends Record<string, string> = Record<string, string>,
>(image: Uint8Array, options: InstantiateOptions<E, I> = {}): Promise<Library<E>> {
  const bytes = steady(checkBytes('image', image))
  const { exports, imports, timeoutMs, memoryBytes, spinMs, onOutput } =
    checkInstantiateOptions(options)
  const engine = createEngine(bytes, { memoryBytes, args: ['library'], env: {}, spinMs })
  try {
    const declared = readDeclarations(engine.section(SECTION))
    const heap = new Heap(engine)
    const texts = new Texts(engine, heap)
    const guest = { texts, registers: () => engine.registers() }
    const targets = bindExports(engine, guest, exports, declared.exports)
    const bound = bindImports(declared.imports, imports)
    const calls = new Calls(engine, guest, { timeoutMs, imports: bound, onOutput })
    if (engine.entry !== undefined) await calls.start()
    engine.snapshot()
    return new Library<E>({ engine, heap, texts, calls, ...functionsOf<E>(calls, targets) })
  } catch (error) {
    if (error instanceof GuestFault) error.keep()
    engine.close()
    return raise(error)
  }
}

/** All that can be called: what is asked for, or else what the image declares. */
function bindExports(
  engine: Engine,
  guest: Guest,
  given: Record<string, unknown> | undefined,
  declared: ReadonlyMap<string, Declared>,
): Target[] {
  if (!given) {
    return [...declared.values()].flatMap(({ name, address, signature }) => {
      const read = parseSignature(`section ${SECTION}: ${name}`, signature, 'ERR_PAYLOAD')
      // The types of a variadic function are those of its call, which only the caller knows.
      return read.isVariadic ? [] : { address, marshaller: new Marshaller(name, read, guest) }
    })
  }
  return Object.entries(given).map(([name, text]) => {
    const signature = parseSignature(`exports.${name}`, text, 'ERR_INVALID_OPTION')
    const address = declared.get(name)?.address ?? engine.symbol(name)
    if (address === undefined) {
      const what = `exports.${name}: the image has no function of that name`
      return fail('ERR_INVALID_OPTION', what + suggestion(name, [...declared.keys()]))
    }
    return { address, marshaller: new Marshaller(name, signature, guest) }
  })
}

function functionsOf<E extends Record<string, string>>(calls: Calls, targets: readonly Target[]) {
  const table = (make: (target: Target) => (...args: unknown[]) => unknown): object => {
    const functions: object = Object.create(null)
    for (const target of targets) {
      const { name } = target.marshaller
      const value = Object.defineProperty(make(target), 'name', { value: name })
      Object.defineProperty(functions, name, { value, enumerable: true })
    }
    return Object.freeze(functions)
  }
  return {
    exports: table(
      (target) =>
        (...args) =>
          calls.callSync(target, args),
    ) as LibraryExports<E>,
    async: table(
      (target) =>
        (...args) =>
          calls.call(target, args),
    ) as AsyncExports<E>,
  }
}
