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

export function coreLayer(files: SourceFile[]): string[] {
  const sources = files.filter((file) => isRust(file) && file.path.startsWith('crates/vmm/src/'))
  const manifest = files.filter(({ path }) => path === 'crates/vmm/Cargo.toml')
  return [
    ...sources.flatMap((file) => [
      ...matches(file, shippedCode(file), CORE_NEVER_NAMES, 'is not for crates/vmm'),
      ...matches(
        file,
        shippedCode(file),
        CORE_NEVER_CALLS,
        'in a library that neither prints nor exits',
      ),
    ]),
    ...manifest.flatMap((file) =>
      matches(
        file,
        file.text,
        /^(napi|log|tracing|serde)[\w-]*(?=\s*[.=])/m,
        'is not for crates/vmm',
      ),
    ),
  ]
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
