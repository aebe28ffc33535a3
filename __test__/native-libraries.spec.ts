// What guest/include/vmexit.h leaves in a library, whatever compiles and links it.
import { readFileSync } from 'node:fs'

import type { ExecutionContext } from 'ava'
import test from 'ava'
import {
  type NativeLibrary,
  nativeImage,
  nativeLibrary,
  nativeNames,
  nativeWasm,
  warnings,
} from './helpers/native.ts'
import { namesOf } from './helpers/native-vectors.ts'
import { records, sections, segments, symbols } from './helpers/native-section.ts'

/** A test of a library; it is skipped where there is no compiler for it. */
function withLibrary(
  title: string,
  build: () => NativeLibrary,
  body: (t: ExecutionContext, image: Uint8Array) => void,
): void {
  test(title, (t) => {
    const library = build()
    if ('image' in library) return body(t, library.image)
    t.log(`skipped: ${library.missing}`)
    t.pass()
  })
}

const exported = [
  ['add', 'int(int, int)'],
  ['after', 'bool(bool, const char *)'],
  ['nothing', 'size_t(void)'],
  ['twice', 'int(int)'],
]
const visit = ['visit', 'int(int, double)']
const unheard = ['unheard', 'void(const char *)']

interface Way {
  title: string
  options: string[]
  imports: string[][]
}

const fixed = ['-nostdlib', '-static', '-Wl,--entry=0']
const collected = [...fixed, '-Wl,--gc-sections']
const ways: Way[] = [
  { title: 'as it is', options: fixed, imports: [unheard, visit] },
  { title: 'with -O2', options: ['-O2', ...fixed], imports: [unheard, visit] },
  {
    title: 'position-independent',
    options: ['-O2', '-fPIE', '-nostdlib', '-static-pie', '-Wl,--entry=0'],
    imports: [unheard, visit],
  },
  {
    title: 'by a linker that collects what is not used, and stripped',
    options: ['-O2', '-ffunction-sections', '-fdata-sections', ...collected, '-s'],
    imports: [visit],
  },
  { title: 'optimised as a whole', options: ['-O2', '-flto', ...collected], imports: [visit] },
  { title: 'by lld', options: ['-O2', '-fuse-ld=lld', ...collected], imports: [visit] },
]

const compilers: [tool: string, language: string[]][] = [
  ['gcc', ['-std=c11']],
  ['g++', ['-std=c++17', '-x', 'c++']],
  ['clang', ['-std=c11']],
  ['clang++', ['-std=c++17', '-x', 'c++']],
]

for (const [tool, language] of compilers) {
  for (const { title, options, imports } of ways) {
    const build = {
      tool,
      sources: ['header.c', 'header-again.c'],
      options: [...language, ...warnings, ...options],
    }
    const library = () => nativeImage('header', build)
    withLibrary(`${tool} keeps the records ${title}`, library, (t, image) => {
      const all = records(image)
      const named = (kind: string) =>
        all
          .filter((record) => record.kind === kind)
          .map(({ name, signature }) => [name, signature])
          .toSorted()
      t.deepEqual(named('export'), exported)
      t.deepEqual(named('import'), imports)
    })
  }
}

withLibrary('plain.wasm is what clang makes of plain.c', nativeWasm, (t, image) => {
  const kept = readFileSync('__test__/fixtures/native/plain.wasm')
  // Another clang makes other code, of the same functions.
  t.deepEqual(namesOf(image), namesOf(kept))
  t.true(namesOf(kept).length > 30)
})

for (const name of nativeNames) {
  const title = `the library ${name} is a static ELF whose records lead to functions`
  withLibrary(
    title,
    () => nativeLibrary(name),
    (t, image) => {
      const loaded = segments(image).filter(({ type }) => type === 1)
      // Neither an interpreter nor a segment that is both written to and executed.
      t.false(segments(image).some(({ type }) => type === 3))
      t.false(loaded.some(({ flags }) => (flags & 3) === 3))
      const within = (address: number) =>
        loaded.find((each) => address >= each.address && address < each.address + each.bytes)
      const section = sections(image).find((each) => each.name === '.vmexit')!
      t.is(section.address % 8, 0)
      t.is(within(section.address)!.flags & 2, 0)
      const found = records(image)
      t.true(found.length > 20)
      const known = symbols(image)
      for (const record of found.filter(({ kind }) => kind === 'export')) {
        t.is(within(record.target!)!.flags & 3, 1, record.name)
        if (known.size > 1) t.is(known.get(record.name), record.target, record.name)
      }
      const hasStart = name !== 'plain' && name !== 'rust-bare'
      t.is(Buffer.from(image).readBigUInt64LE(0x18) !== 0n, hasStart)
    },
  )
}
