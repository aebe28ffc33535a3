// Native libraries for tests: programs in C, C++ and Rust, each built once and kept.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

/** How a library is built. */
interface Build {
  tool: string
  /** In `__test__/fixtures/native`. */
  sources: readonly string[]
  /** Before the sources. */
  options: readonly string[]
  /** After them. */
  libraries?: readonly string[]
}

const headers = resolve('guest/include')
const folder = resolve('__test__/fixtures/native')
const cache = resolve('.cache/native')

/** What all C and C++ is compiled with. */
export const warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', `-I${headers}`]
const c = ['-std=c11', '-O2', ...warnings]
const bare = ['-fno-math-errno', '-fno-stack-protector', '-nostdlib', '-Wl,--entry=0']
const small = ['-ffunction-sections', '-Wl,--gc-sections', '-s']
const musl = ['--edition', '2021', '-O', '--target', 'x86_64-unknown-linux-musl']
const rustBare = ['-C', 'panic=abort', '-C', 'relocation-model=static', '-C']

const libc = ['plain.c', 'libc.c']
const builds = {
  /** C without a libc and without a start, at a fixed address. */
  plain: { tool: 'cc', sources: ['plain.c', 'bare.c'], options: [...c, ...bare, '-static'] },
  /** C with glibc. */
  glibc: { tool: 'cc', sources: libc, options: [...c, '-static'], libraries: ['-lm'] },
  /** Position-independent, and with no name left but those of its records. */
  'glibc-pie': {
    tool: 'cc',
    sources: libc,
    options: [...c, '-fPIE', '-static-pie', ...small],
    libraries: ['-lm'],
  },
  /** C with musl. */
  musl: { tool: 'musl-gcc', sources: libc, options: [...c, '-static'] },
  /** The same, whose main() returns. */
  'musl-returns': {
    tool: 'musl-gcc',
    sources: libc,
    options: [...c, '-static', '-DVMEXIT_TEST_RETURNS'],
  },
  /** C++ with its library, whose C part is compiled as C++, too. */
  'c++': {
    tool: 'c++',
    sources: ['plain.c', 'standard.cpp'],
    options: ['-std=c++17', '-O2', ...warnings, '-static', '-x', 'c++'],
  },
  /** Rust with std, which comes with musl, position-independent. */
  rust: { tool: 'rustc', sources: ['standard.rs'], options: musl },
  /** Rust without std and without a start. */
  'rust-bare': {
    tool: 'rustc',
    sources: ['bare.rs'],
    options: [
      ...musl,
      ...rustBare,
      'link-self-contained=no',
      ...['-C', 'link-args=-nostartfiles -nostdlib -static -Wl,--entry=0'],
    ],
  },
} satisfies Record<string, Build>

/** Those of the code in documents, by their files. */
const documented = {
  'lib.elf': { tool: 'cc', sources: ['lib.c'], options: [...c, '-static'] },
  'sort.elf': { tool: 'cc', sources: ['sort.c'], options: [...c, '-static'] },
  'greeter.elf': {
    tool: 'cc',
    sources: ['greeter.c'],
    options: [...warnings, '-O2', '-nostdlib', '-static', '-Wl,--entry=0'],
  },
} satisfies Record<string, Build>

/** A library of the tests. */
export type NativeName = keyof typeof builds

export const nativeNames = Object.keys(builds) as NativeName[]

/** Where a program stands, without its links. */
export function whereIs(tool: string): string | undefined {
  const places = (process.env['PATH'] ?? '').split(delimiter).map((place) => join(place, tool))
  const found = places.find((place) => existsSync(place))
  return found && realpathSync(found)
}

/** What a compiler says where a part of it is not installed. */
export const absentPart =
  /cannot find (-l\w+|'ld')|invalid linker name|LTO support|"wasm-ld" doesn't exist|No available targets|can't find crate for `\w+`|rustup could not choose a version/

/** Of what a library is made: another compiler or another source makes another one. */
function digest(build: Build, tool: string): string {
  const { mtimeMs, size } = statSync(tool)
  const hash = createHash('sha256').update(JSON.stringify([build, tool, mtimeMs, size]))
  for (const from of [folder, headers])
    for (const name of readdirSync(from).toSorted())
      hash.update(name).update(readFileSync(join(from, name)))
  return hash.digest('hex').slice(0, 16)
}

/** An image, or why there is none: a compiler, or a part of it, is missing. */
export type NativeLibrary = { image: Uint8Array<ArrayBuffer> } | { missing: string }

/** A library of the tests. */
export const nativeLibrary = (name: NativeName): NativeLibrary => nativeImage(name, builds[name])

/** What a build makes, now or before; what is wrong with a source is an error. */
export function nativeImage(name: string, build: Build): NativeLibrary {
  const tool = whereIs(build.tool)
  if (!tool) return { missing: `${build.tool} is not installed` }
  const kept = join(cache, `${name}-${digest(build, tool)}.elf`)
  if (!existsSync(kept)) {
    mkdirSync(cache, { recursive: true })
    const fresh = mkdtempSync(join(cache, 'fresh-'))
    try {
      const sources = build.sources.map((source) => resolve(folder, source))
      const image = join(fresh, 'image')
      const args = [...build.options, ...sources, ...(build.libraries ?? []), '-o', image]
      const { status, stderr, error } = spawnSync(build.tool, args, {
        encoding: 'utf8',
        cwd: fresh,
      })
      const part = absentPart.exec(stderr ?? '')?.[0]
      if (part) return { missing: `${build.tool} ${part}` }
      if (status !== 0) throw new Error(`${build.tool} ${args.join(' ')}\n${error ?? stderr}`)
      renameSync(image, kept)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  return { image: new Uint8Array(readFileSync(kept)) }
}

const wasmMacro = (attributes: string): string =>
  `(result,name,...)=__attribute__((${attributes})) result name(__VA_ARGS__)`

/** The source without a libc in WebAssembly, as plain.wasm has it. */
export const nativeWasm = (): NativeLibrary =>
  nativeImage('plain-wasm', {
    tool: 'clang',
    sources: builds.plain.sources,
    options: [
      ...['--target=wasm32', '-std=c11', '-O2', '-nostdlib', '-fno-math-errno', `-I${headers}`],
      // Instead of the header, which is for ELF.
      ...['-DVMEXIT_H', `-DVMEXIT_EXPORT${wasmMacro('export_name(#name)')}`],
      `-DVMEXIT_IMPORT${wasmMacro('import_module("env"),import_name(#name)')}`,
      ...['-Wl,--no-entry', '-Wl,--export=__heap_base', '-Wl,-s'],
      ...['-Wl,--initial-memory=131072', '-Wl,-z,stack-size=16384'],
    ],
  })

/** The libraries of the code in documents, by their files. */
export const documentedLibraries = (): [file: string, library: NativeLibrary][] =>
  Object.entries(documented).map(([file, build]) => [file, nativeImage(file, build)])
