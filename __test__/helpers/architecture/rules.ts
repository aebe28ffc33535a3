// What no linter looks after. Each rule takes files and returns one message per violation;
// clippy.toml, .oxlintrc.json and deny.toml hold the rest.
import { dirname, join } from 'node:path/posix'
import type { SourceFile } from './files.ts'
import { findCycles, grouped, layersOf } from './graph.ts'
import { moduleGraph } from './rust.ts'

/** Where `unsafe` may be allowed; the workspace's lints deny it elsewhere. */
const UNSAFE_FILES = [
  'crates/vmm/src/kvm/anchor.rs',
  'crates/vmm/src/kvm/host/clock.rs',
  'crates/vmm/src/kvm/image/mod.rs',
  'crates/vmm/src/kvm/image/pagemap.rs',
  'crates/vmm/src/kvm/image/mapping.rs',
  'crates/vmm/src/kvm/memory.rs',
  'crates/vmm/src/kvm/origin.rs',
  'crates/vmm/src/kvm/vm.rs',
  'crates/vmm/src/kvm/run_page.rs',
  'crates/vmm/src/kvm/vcpu.rs',
  'crates/vmm/src/kvm/chips.rs',
  'crates/vmm/src/kvm/disk_file.rs',
  'crates/vmm/src/kvm/kick.rs',
  'crates/node/src/ffi.rs',
  'crates/node/src/buffer.rs',
  // A counting allocator, to show that exits allocate nothing.
  'crates/vmm/tests/allocations.rs',
  // Writes to memory as what has its pointer does.
  'crates/vmm/tests/snapshot_memory.rs',
  // Lowers a limit of its own process.
  'crates/vmm/tests/signal_queue.rs',
]

/** All that each crate below the binding may depend on. */
const DEPENDENCIES: Record<string, string> = {
  'crates/devices': 'serde virtio-bindings virtio-queue vm-memory vm-superio vmm-sys-util',
  'crates/boot': 'acpi_tables devices iced-x86 kvm-bindings linux-loader serde vm-memory',
  'crates/linux': 'linux-raw-sys object postcard serde',
  'crates/vmm':
    'boot crc32fast devices kvm-bindings kvm-ioctls libc linux postcard serde vm-memory vmm-sys-util',
}
/** They have no descriptor of the kernel. */
const FORBID_UNSAFE = ['boot', 'devices', 'linux'].map((crate) => `crates/${crate}/src/lib.rs`)

const THROWS = 'src/native/errors.ts'
const NAME_THE_ADDON = ['src/native/native.ts', 'src/native/seam.ts']

/** What stands in src/, from the ground up: each imports from itself and from what is below it. */
const STOREYS = [
  'native',
  'results',
  'options',
  'assembler',
  'definition',
  'debug',
  'trace',
  'profile',
  'machine',
  'index.ts',
  'gdb',
  'process',
  'bench',
  'cli',
]

const storeyOf = (path: string): number => {
  const storey = STOREYS.indexOf(path.split('/')[1] as string)
  return storey < 0 ? STOREYS.length : storey
}

const FILE_LINES = 400
/** A test or a benchmark reads from top to bottom, one case after another. */
const TEST_FILE_LINES = 600
const FOLDER_FILES = 15
const LAYERS = 8

/** What is still larger than the rule allows, as it is. */
const LARGER: Record<string, number> = {}

const CODE = /\.(rs|ts|mjs|c|h|S)$/
const TEST = /(^|\/)__test__\/|^bench\/|^crates\/[^/]+\/(tests|benches)\/|\/tests?\//
/** The brackets keep this file from naming what it looks for. */
const LEFTOVERS = /\b(TOD[O]|FIXM[E]|XX[X])\b/
/** Specifiers of imports, re-exports, `import()` and `require`, as oxfmt writes them. */
const SPECIFIER =
  /(?:^(?:import|export)\b[^'`]*\bfrom |^import |^} from |\b(?:import|require|createRequire\(.*\))\()'([^']+)'/
const ADDON = /\.node$|^(index(\.d)?(\.[jt]s)?|native(\.d)?\.c[jt]s)$/

const crateOf = (path: string): string | undefined =>
  /^crates\/[^/]+(?=\/src\/.*\.rs$)/.exec(path)?.[0]
const isSource = ({ path }: SourceFile): boolean => /^src\/.*\.ts$/.test(path)

/** One message for each line that `problem` has something to say of. */
const eachLine = (
  files: SourceFile[],
  problem: (line: string, file: SourceFile) => string,
): string[] =>
  files.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) => {
      const said = problem(line, file)
      return said === '' ? [] : [`${file.path}:${index + 1}: ${said}`]
    }),
  )

const tooMany = (what: string, count: number, limit: number): string[] => {
  const allowed = LARGER[what] ?? limit
  return count > allowed ? [`${what}: ${count}, the budget is ${allowed}`] : []
}

export function fileBudgets(files: SourceFile[]): string[] {
  return files
    .filter(({ path }) => CODE.test(path))
    .flatMap(({ path, text }) => {
      const limit = TEST.test(path) ? TEST_FILE_LINES : FILE_LINES
      const lines = text.replace(/\n$/, '').split('\n').length
      return lines > limit ? [`${path}:${lines}: the budget is ${limit} lines`] : []
    })
}

export function folderBudgets(files: SourceFile[]): string[] {
  const code = files.filter(({ path }) => CODE.test(path) && !TEST.test(path))
  const folders = code
    .map(({ path }) => dirname(path))
    .filter((path) => !/^(guest|examples)\b/.test(path))
  return [...new Set(folders)].flatMap((folder) =>
    tooMany(folder, folders.filter((other) => other === folder).length, FOLDER_FILES),
  )
}

export function leftovers(files: SourceFile[]): string[] {
  return eachLine(files, (line) => {
    const mark = LEFTOVERS.exec(line)?.[0]
    return mark === undefined ? '' : `leftover ${mark}`
  })
}

/** What makes markup, or a program, of text; what guests and names say is text. */
const MARKUP =
  /\b(?:(?:inner|outer)HTML|insertAdjacentHTML|setHTMLUnsafe|createContextualFragment|document\.write|DOMParser|eval|new Function)\b/

export function pageMarkup(files: SourceFile[]): string[] {
  const page = files.filter(({ path }) => path.startsWith('packages/manager/web/'))
  return eachLine(page, (line) => {
    const found = MARKUP.exec(line)?.[0]
    return found === undefined ? '' : `${found}: use textContent`
  })
}

/** The modules of each crate. */
function crates(files: SourceFile[]) {
  const sources = files.filter(({ path }) => crateOf(path) !== undefined)
  return [...new Set(sources.map(({ path }) => crateOf(path)))].map((crate) => ({
    crate,
    graph: moduleGraph(sources.filter(({ path }) => crateOf(path) === crate)),
  }))
}

/** Imports and method calls. */
export function moduleCycles(files: SourceFile[]): string[] {
  return crates(files).flatMap(({ crate, graph }) =>
    findCycles(graph).map((way) => `${crate}: module cycle ${way}`),
  )
}

/** Of the modules that a crate's root names, with what is below each. */
export function moduleLayers(files: SourceFile[]): string[] {
  return crates(files).flatMap(({ crate, graph }) => {
    const rooms = grouped(graph, (module) => module.split('::')[1])
    return tooMany(`layers of ${crate}`, layersOf(rooms), LAYERS)
  })
}

/** Whatever else says `unsafe`, the workspace's lint denies. */
export function unsafeCode(files: SourceFile[], allowed = UNSAFE_FILES): string[] {
  const rust = files.filter(({ path }) => path.endsWith('.rs') && !allowed.includes(path))
  return eachLine(rust, (line) =>
    /^\s*#!?\[(allow|expect)\(.*\bunsafe_code\b/.test(line)
      ? 'unsafe is allowed in named files only'
      : '',
  )
}

export function unsafeLints(files: SourceFile[]): string[] {
  const lacks = (path: RegExp, pattern: RegExp): string[] =>
    files
      .filter((file) => path.test(file.path) && !pattern.test(file.text))
      .map((file) => file.path)
  return [
    ...lacks(/^Cargo\.toml$/, /^unsafe_code = "(deny|forbid)"/m),
    ...lacks(/^crates\/[^/]+\/Cargo\.toml$/, /^\[lints\]\s*\nworkspace = true/m),
  ].map((path) => `${path}: does not take part in denying unsafe_code`)
}

export function forbidsUnsafe(files: SourceFile[]): string[] {
  return files
    .filter(
      ({ path, text }) =>
        FORBID_UNSAFE.includes(path) && !/^#!\[forbid\(unsafe_code\)\]$/m.test(text),
    )
    .map(({ path }) => `${path}: must say #![forbid(unsafe_code)]`)
}

export function libraryDependencies(files: SourceFile[]): string[] {
  return Object.entries(DEPENDENCIES).flatMap(([crate, allowed]) => {
    const manifest = files.find(({ path }) => path === `${crate}/Cargo.toml`)?.text ?? ''
    const tables = [...manifest.matchAll(/^\[(.*\b)?dependencies(\.([\w-]+))?\]\n([^[]*)/gm)]
    return tables
      .flatMap(([, , , own, table = '']) =>
        own === undefined ? (table.match(/^[\w-]+/gm) ?? []) : [own],
      )
      .filter((name) => !allowed.split(' ').includes(name))
      .map((name) => `${crate}/Cargo.toml: '${name}' is not for it`)
  })
}

export function importCycles(files: SourceFile[]): string[] {
  const sources = files.filter(({ path }) => /\.(ts|mjs)$/.test(path))
  const paths = new Set(sources.map(({ path }) => path))
  const graph = sources.map(({ path, text }): [string, Set<string>] => {
    const named = text.split('\n').map((line) => SPECIFIER.exec(line)?.[1] ?? '')
    const targets = named
      .filter((name) => name.startsWith('.'))
      .map((name) => join(path, '..', name))
    return [path, new Set(targets.filter((target) => paths.has(target)))]
  })
  return findCycles(new Map(graph)).map((way) => `import cycle ${way}`)
}

export function sourceImports(files: SourceFile[]): string[] {
  return eachLine(files.filter(isSource), (line, { path }) => {
    const name = SPECIFIER.exec(line)?.[1]
    if (name === undefined || name.startsWith('node:')) return ''
    if (!name.startsWith('.')) return `imports '${name}', which is neither Node's nor of src/`
    const target = join(path, '..', name)
    if (ADDON.test(target) || target === 'package.json') return ''
    if (!target.startsWith('src/')) return `imports '${name}', which is no file of src/`
    const upwards = storeyOf(target) > storeyOf(path)
    return upwards ? `imports '${name}'; the storeys of src/ are ${STOREYS.join(', ')}` : ''
  })
}

export function addonLoads(files: SourceFile[]): string[] {
  const others = files.filter((file) => isSource(file) && !NAME_THE_ADDON.includes(file.path))
  return eachLine(others, (line, { path }) => {
    const names = [...line.matchAll(/'(\.[^' ]*)'/g)].map(([, name = '']) => name)
    const addon = names.find((name) => ADDON.test(join(path, '..', name)))
    return addon === undefined ? '' : `'${addon}' belongs in ${NAME_THE_ADDON.join(' or ')}`
  })
}

export function throwStatements(files: SourceFile[]): string[] {
  const others = files.filter((file) => isSource(file) && file.path !== THROWS)
  return eachLine(others, (line) =>
    /^\s*(\S.*[{)] )?throw /.test(line) && !/^\s*(\*|\/\/)/.test(line)
      ? `only ${THROWS} throws`
      : '',
  )
}
