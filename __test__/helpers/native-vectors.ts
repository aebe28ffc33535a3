// Calls that a native library and WebAssembly must answer alike.
import { readFileSync } from 'node:fs'

import type { NativeName } from './native.ts'
import { nativeLibrary } from './native.ts'
import { records } from './native-section.ts'

type Kind = 'i32' | 'u32' | 'i64' | 'u64' | 'f32' | 'f64'

/** Functions of numbers: what they return and what they take. */
const functions: Readonly<Record<string, readonly [result: Kind, ...parameters: Kind[]]>> = {
  add: ['i32', 'i32', 'i32'],
  rotate: ['u32', 'u32', 'u32'],
  multiply: ['i64', 'i64', 'i64'],
  shift: ['u64', 'u64', 'u32'],
  divide: ['i32', 'i32', 'i32'],
  same: ['f64', 'f64'],
  samef: ['f32', 'f32'],
  plus: ['f64', 'f64', 'f64'],
  times: ['f64', 'f64', 'f64'],
  over: ['f64', 'f64', 'f64'],
  root: ['f64', 'f64'],
  plusf: ['f32', 'f32', 'f32'],
  timesf: ['f32', 'f32', 'f32'],
  overf: ['f32', 'f32', 'f32'],
  narrow: ['f32', 'f64'],
  signed_double: ['f64', 'i64'],
}

const doubles = [
  0,
  -0,
  1,
  -1,
  0.1,
  -1 / 3,
  Math.PI,
  2 ** 53,
  2 ** 53 + 2,
  1e308,
  -1e308,
  Number.MAX_VALUE,
  Number.EPSILON,
  1 + Number.EPSILON,
  1 - Number.EPSILON / 2,
  Number.NaN,
  Infinity,
  -Infinity,
  // Subnormal, and around what is the least normal number.
  Number.MIN_VALUE,
  -Number.MIN_VALUE,
  2 ** -1022,
  2 ** -1022 - 2 ** -1074,
  -(2 ** -1060),
  // Half-way between two floats, and a little to either side; the border of the largest float.
  1 + 2 ** -24,
  1 + 2 ** -24 + 2 ** -52,
  1 + 2 ** -24 - 2 ** -52,
  1 + 3 * 2 ** -24,
  3.4028235677973366e38,
  3.4028235677973362e38,
  2 ** -149,
  2 ** -150,
  2 ** -150 + 2 ** -180,
  2 ** -126,
]
const words = [0, 1, 2, 7, 31, 32, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xdead_beef]
const longs = [
  0n,
  1n,
  3n,
  0x7fff_ffffn,
  0xffff_ffffn,
  2n ** 53n + 1n,
  2n ** 62n + 3n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  0x0123_4567_89ab_cdefn,
]

const values: Readonly<Record<Kind, readonly (number | bigint)[]>> = {
  i32: words.map((word) => word | 0),
  u32: words,
  i64: longs.map((word) => BigInt.asIntN(64, word)),
  u64: longs,
  f64: doubles,
  f32: [...new Set(doubles.map(Math.fround))],
}

/** All arguments of a kind with all of the next one. */
function argumentsOf(kinds: readonly Kind[]): (number | bigint)[][] {
  return kinds.reduce<(number | bigint)[][]>(
    (all, kind) => all.flatMap((start) => values[kind].map((value) => [...start, value])),
    [[]],
  )
}

export interface Vector {
  name: string
  result: Kind
  args: (number | bigint)[]
}

export const vectors: readonly Vector[] = Object.entries(functions).flatMap(
  ([name, [result, ...kinds]]) => argumentsOf(kinds).map((args) => ({ name, result, args })),
)

/** What the functions of plain.c may call. */
export interface Visitors {
  visit: (index: number, value: number) => number
  /** Gets what the text is, wherever it stands. */
  weigh: (text: string, value: bigint, factor: number) => number
}

/** Of Node.js, whose types leave it to those of browsers. */
interface Assembly {
  Module: {
    new (bytes: Uint8Array): object
    exports(module: object): { name: string }[]
    imports(module: object): { name: string }[]
  }
  Instance: new (module: object, imports: object) => { exports: Record<string, unknown> }
  RuntimeError: ErrorConstructor
}
const assembly = (globalThis as unknown as { WebAssembly: Assembly }).WebAssembly
/** How a function of WebAssembly ends that does what it must not. */
export const Trap = assembly.RuntimeError

/** What a module exports and imports. */
export function namesOf(bytes: Uint8Array): string[] {
  const module = new assembly.Module(bytes)
  const { exports, imports } = assembly.Module
  return [...exports(module), ...imports(module)].map(({ name }) => name)
}

type Functions = Record<string, (...args: (number | bigint)[]) => number | bigint | undefined>

/** The same source in WebAssembly, as clang 14 has made it. */
export function webAssembly({ visit, weigh }: Visitors) {
  const module = new assembly.Module(readFileSync('__test__/fixtures/native/plain.wasm'))
  const env = {
    visit,
    weigh: (at: number, value: bigint, factor: number) => {
      const end = memory.indexOf(0, at)
      return weigh(Buffer.from(memory.subarray(at, end)).toString(), value, factor)
    },
  }
  const { exports } = new assembly.Instance(module, { env })
  const memory = new Uint8Array((exports['memory'] as { buffer: ArrayBuffer }).buffer)
  /** Where nothing else stands. */
  const free = (exports['__heap_base'] as { value: number }).value
  return { functions: exports as Functions, memory, free }
}

/** A result of WebAssembly, which knows no unsigned integers. */
export function asKind(kind: Kind, value: number | bigint | undefined): unknown {
  if (kind === 'u32') return Number(value) >>> 0
  return kind === 'u64' ? BigInt.asUintN(64, value as bigint) : value
}

/** The image of a library and the names that it exports, or why it is not there. */
export function libraryOf(name: NativeName) {
  const library = nativeLibrary(name)
  if ('missing' in library) return library
  const exported = records(library.image).filter(({ kind }) => kind === 'export')
  return { image: library.image, exported: new Set(exported.map((each) => each.name)) }
}
