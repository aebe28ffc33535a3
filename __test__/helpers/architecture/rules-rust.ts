// Rules over the crates, on text without comments, literals and (but for unsafe) tests.
import type { SourceFile } from './files.ts'
import { findCycles } from './graph.ts'
import { isRust } from './rules-common.ts'
import { moduleGraph } from './rust-modules.ts'
import { blankLiterals, blankTests, lineAt } from './rust-text.ts'

/** Where `unsafe` may stand; elsewhere the workspace's lints deny it. */
const UNSAFE_MODULES = [
  'crates/vmm/src/memory.rs',
  'crates/vmm/src/vm.rs',
  'crates/vmm/src/vcpu.rs',
  'crates/vmm/src/kick.rs',
  'crates/node/src/ffi.rs',
  'crates/node/src/buffer.rs',
  // A counting allocator, to show that exits allocate nothing.
  'crates/vmm/tests/allocations.rs',
  // Lowers a limit of its own process.
  'crates/vmm/tests/signal_queue.rs',
]

/** All that each crate below the binding may depend on. Those without a descriptor of the kernel forbid unsafe. */
const LIBRARIES: Record<string, { dependencies: string[]; safe: boolean }> = {
  'crates/devices': { dependencies: ['vm-superio'], safe: true },
  'crates/boot': {
    dependencies: ['acpi_tables', 'devices', 'kvm-bindings', 'linux-loader', 'vm-memory'],
    safe: true,
  },
  'crates/vmm': {
    dependencies: [
      ...['boot', 'devices'],
      ...['kvm-bindings', 'kvm-ioctls', 'libc', 'vm-memory', 'vmm-sys-util'],
    ],
    safe: false,
  },
}

const CORE_NEVER_NAMES = /\b(napi|napi_derive|log|tracing|serde|serde_json)\s*(::|;|\})/
const CORE_NEVER_CALLS = /\b(println!|eprintln!|print!|eprint!|dbg!|process::exit|process::abort)/
const UNWRAPS = /\.\s*(unwrap|expect)\s*\(/

const crateOf = (path: string): string | undefined => /^crates\/[^/]+\/src\//.exec(path)?.[0]

export function moduleCycles(files: SourceFile[]): string[] {
  const sources = files.filter((file) => isRust(file) && crateOf(file.path) !== undefined)
  const crates = new Set(sources.map(({ path }) => crateOf(path)))
  return [...crates].flatMap((crate) => {
    const own = sources.filter(({ path }) => crateOf(path) === crate)
    return findCycles(moduleGraph(own)).map((way) => `${crate}: module cycle ${way}`)
  })
}

function matches(file: SourceFile, code: string, pattern: RegExp, rule: string): string[] {
  return [...code.matchAll(new RegExp(pattern, `${pattern.flags}g`))].map((match) => {
    return `${file.path}:${lineAt(code, match.index)}: '${match[0].trim()}' ${rule}`
  })
}

const shippedCode = ({ text }: SourceFile): string => blankTests(blankLiterals(text))

export function libraryCalls(files: SourceFile[]): string[] {
  const isLibrary = (path: string): boolean =>
    Object.keys(LIBRARIES).some((crate) => path.startsWith(`${crate}/src/`))
  return files
    .filter((file) => isRust(file) && isLibrary(file.path))
    .flatMap((file) => [
      ...matches(file, shippedCode(file), CORE_NEVER_NAMES, 'is not for a library'),
      ...matches(
        file,
        shippedCode(file),
        CORE_NEVER_CALLS,
        'in a library that neither prints nor exits',
      ),
    ])
}

/** Names in the tables of dependencies, and the line of each. */
function dependenciesOf(manifest: string): { name: string; line: number }[] {
  let table = ''
  return manifest.split('\n').flatMap((text, index) => {
    table = /^\[(.*)\]/.exec(text)?.[1] ?? table
    const own = /dependencies\.([\w-]+)$/.exec(table)?.[1]
    const listed = table.endsWith('dependencies') ? /^[\w-]+/.exec(text)?.[0] : undefined
    const name = text.startsWith('[') ? own : listed
    return name === undefined ? [] : [{ name, line: index + 1 }]
  })
}

export function libraryDependencies(files: SourceFile[]): string[] {
  return Object.entries(LIBRARIES).flatMap(([crate, { dependencies }]) => {
    const manifest = files.find(({ path }) => path === `${crate}/Cargo.toml`)
    return dependenciesOf(manifest?.text ?? '')
      .filter(({ name }) => !dependencies.includes(name))
      .map(({ name, line }) => `${crate}/Cargo.toml:${line}: '${name}' is not for ${crate}`)
  })
}

export function forbidsUnsafe(files: SourceFile[]): string[] {
  return Object.entries(LIBRARIES)
    .filter(([, { safe }]) => safe)
    .map(([crate]) => files.find(({ path }) => path === `${crate}/src/lib.rs`))
    .filter((root) => root !== undefined)
    .filter(({ text }) => !/^#!\[forbid\(unsafe_code\)\]$/m.test(text))
    .map(({ path }) => `${path}: must say #![forbid(unsafe_code)]`)
}

export function unwraps(files: SourceFile[]): string[] {
  return files
    .filter((file) => isRust(file) && crateOf(file.path) !== undefined)
    .flatMap((file) => matches(file, shippedCode(file), UNWRAPS, 'outside tests'))
}

/** `#[allow(unsafe_code)] mod memory;` in a lib.rs counts as standing in that module. */
function allowsForNamedModule(code: string, index: number, allowed: string[]): boolean {
  const declared = /^#\[\w+\(unsafe_code\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;/.exec(
    code.slice(index),
  )?.[1]
  return declared !== undefined && allowed.some((path) => path.endsWith(`/${declared}.rs`))
}

export function unsafeCode(files: SourceFile[], allowed = UNSAFE_MODULES): string[] {
  return files
    .filter((file) => isRust(file) && !allowed.includes(file.path))
    .flatMap((file) => {
      const code = blankLiterals(file.text)
      return [...code.matchAll(/\bunsafe\b|#!?\[(allow|expect)\(unsafe_code\)\]/g)]
        .filter((match) => !allowsForNamedModule(code, match.index, allowed))
        .map(
          (match) =>
            `${file.path}:${lineAt(code, match.index)}: '${match[0]}' outside ${allowed.join(', ')}`,
        )
    })
}

export function unsafeLints(files: SourceFile[]): string[] {
  const text = (path: string): string => files.find((file) => file.path === path)?.text ?? ''
  const messages: string[] = []
  if (!/^unsafe_code = "(deny|forbid)"/m.test(text('Cargo.toml'))) {
    messages.push('Cargo.toml: [workspace.lints.rust] must deny unsafe_code')
  }
  for (const { path } of files.filter((file) => /^crates\/[^/]+\/Cargo\.toml$/.test(file.path))) {
    if (/^\[lints\]\s*\nworkspace = true/m.test(text(path))) continue
    messages.push(`${path}: [lints] must say workspace = true`)
  }
  return messages
}
