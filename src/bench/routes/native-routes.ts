import { createRequire } from 'node:module'

import { VmError, raise } from '../../native/errors.ts'
import { type Library, instantiate } from '../../process/index.ts'
import { computeRounds } from '../images.ts'
import { benchLibrary } from '../library.ts'
import { NativeRoute, type NativeWork } from './native-route.ts'
import { type BenchRoute, timeoutMs } from './route.ts'
import { computeWasm } from './wasm.ts'

const signatures = {
  add: 'i32(i32, i32)',
  system_calls: 'void(usize, usize)',
  ask: 'void(usize)',
  compute: 'u64(usize)',
} as const

/** `getpid` is answered in Rust; a number that Linux does not have is left to JavaScript. */
const getpid = 39
const noSuchCall = 5000

type Add = (first: number, second: number) => number

async function library(calls: 'exit' | 'spin' = 'exit') {
  const imports = { ask: ['void()', () => undefined] } as const
  return instantiate(benchLibrary(), { exports: signatures, imports, timeoutMs, calls })
}

async function native(
  many: (lib: Library<typeof signatures>, units: number) => void,
  calls?: 'exit' | 'spin',
): Promise<NativeWork> {
  const lib = await library(calls)
  return { many: (units) => many(lib, units), [Symbol.dispose]: () => lib.close() }
}

function adding(add: Add, units: number): void {
  for (let index = 0; index < units; index += 1) {
    const sum = add(index, 7)
    if (sum !== index + 7) raise(new Error(`${index} + 7 is ${sum}`))
  }
}

const outside = (many: (units: number) => void): Promise<NativeWork> =>
  Promise.resolve({ many, [Symbol.dispose]: () => undefined })

/** As much of koffi as is used here. */
interface Koffi {
  load(path: null): { func(prototype: string): (value: number) => number }
}

/** It comes with the sources, and is no dependency of the package. */
const koffiName = 'koffi'

function koffi(): Koffi {
  try {
    return createRequire(import.meta.url)(koffiName)
  } catch (cause) {
    return raise(new VmError('ERR_KVM_CAPABILITY', 'koffi not installed', { cause }))
  }
}

/** Routes of `vmexit/process`, and the same work by other means. */
export const nativeRoutes: readonly BenchRoute[] = [
  new NativeRoute({
    name: 'native-call',
    unit: 'call',
    kind: 'user-call',
    about:
      'a function of two integers by instantiate(), in ring 3, called from JavaScript; C has registers in and out',
    timing: 'each call',
    exits: 5,
    perTime: 1,
    begin: () => native(({ exports }, units) => adding(exports.add, units)),
  }),
  new NativeRoute({
    name: 'native-call-spin',
    unit: 'call',
    kind: 'user-call',
    about: "the same with calls: 'spin': the vCPU waits for it on a core of its own",
    timing: 'means of 1000 calls',
    exits: 1,
    perTime: 1000,
    begin: () => native(({ exports }, units) => adding(exports.add, units), 'spin'),
  }),
  new NativeRoute({
    name: 'wasm-call',
    unit: 'call',
    kind: null,
    about: 'the same function of WebAssembly, in this process',
    timing: 'means of 1000 calls',
    exits: 1,
    perTime: 1000,
    begin: async () => {
      const { add } = await computeWasm()
      return outside((units) => adding(add, units))
    },
  }),
  new NativeRoute({
    name: 'koffi-call',
    unit: 'call',
    kind: null,
    about: "a function of libc's by koffi, in this process and with all that it may do",
    timing: 'means of 1000 calls',
    exits: 1,
    perTime: 1000,
    probe: () => void koffi(),
    begin: async () => {
      const abs = koffi().load(null).func('int abs(int)')
      return outside((units) => adding((first, second) => abs(-first) + second, units))
    },
  }),
  new NativeRoute({
    name: 'syscall',
    unit: 'call',
    kind: 'syscall',
    about: 'getpid() of a library in a loop, answered in Rust; C answers with a number',
    timing: 'means of 100, the call of the function included',
    exits: 5,
    perTime: 100,
    begin: () => native(({ exports }, units) => exports.system_calls(units, getpid)),
  }),
  new NativeRoute({
    name: 'syscall-js',
    unit: 'call',
    kind: 'syscall',
    about: 'the same of a call that JavaScript answers',
    timing: 'means of 100, the call of the function included',
    exits: 5,
    perTime: 100,
    begin: () => native(({ exports }, units) => exports.system_calls(units, noSuchCall)),
  }),
  new NativeRoute({
    name: 'import',
    unit: 'call',
    kind: 'syscall',
    about: 'the same of an import: void ask(void), a function of JavaScript',
    timing: 'means of 100, the call of the function included',
    exits: 5,
    perTime: 100,
    begin: () => native(({ exports }, units) => exports.ask(units)),
  }),
  new NativeRoute({
    name: 'compute',
    unit: 'call',
    kind: 'compute',
    about: 'a call of a million rounds of multiply and add; C has them without a machine',
    timing: 'each call',
    exits: 400,
    perTime: 1,
    begin: () =>
      native(({ exports }, units) => {
        for (let done = 0; done < units; done += 1) exports.compute(computeRounds)
      }),
  }),
  new NativeRoute({
    name: 'wasm-compute',
    unit: 'call',
    kind: 'compute',
    about: 'the same loop of WebAssembly, in this process',
    timing: 'each call',
    exits: 400,
    perTime: 1,
    begin: async () => {
      const { compute } = await computeWasm()
      return outside((units) => {
        for (let done = 0; done < units; done += 1) compute(BigInt(computeRounds))
      })
    },
  }),
  new NativeRoute({
    name: 'native-reset',
    unit: 'call',
    kind: 'user-call',
    about: 'such a call, and reset() after it; C only calls',
    timing: 'each call and reset()',
    exits: 10,
    perTime: 1,
    begin: () =>
      native((lib, units) => {
        for (let done = 0; done < units; done += 1) {
          adding(lib.exports.add, 1)
          lib.reset()
        }
      }),
  }),
]
