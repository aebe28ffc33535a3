// What set-up runs, in order. A step runs when its inputs differ from its stamp or an output is missing. The stamp holds the
// hashes of what a step reads and of what it writes into the repository.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { capture, root } from '../run.mjs'

const folder = join(root, '.cache', 'setup')

const manifest = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const { name, version, napi, scripts, devDependencies, overrides } = manifest('package.json')
const packages = ['fleet', 'manager'].map((each) => manifest(`packages/${each}/package.json`))

const steps = [
  {
    key: 'install',
    title: 'installing npm packages',
    // As locked, and the lock file stays as it is. Not `npm ci`: that refuses a lock file without the packages of other
    // platforms, and a registry that mirrors one platform lets no other be written.
    command: ['npm', 'install', '--no-save', '--no-audit', '--no-fund'],
    inputs: ['package-lock.json'],
    settings: [
      ...[devDependencies, overrides],
      ...packages.map((each) => [each.dependencies, each.devDependencies]),
    ],
    outputs: ['node_modules/.package-lock.json'],
  },
  {
    key: 'native',
    title: 'building the native addon (about a minute the first time)',
    command: ['npm', 'run', '--silent', 'build:native'],
    inputs: [
      ...['crates', 'guest', 'build.rs', 'Cargo.toml', 'rust-toolchain.toml'],
      'scripts/words.mjs',
    ],
    settings: [name, version, napi, scripts['build:native']],
    outputs: ['vmexit.linux-x64-gnu.node', 'index.d.ts'],
    // Written by the step and committed, so a checkout can change them too.
    generated: ['Cargo.lock', 'index.d.ts', 'src/native/words.generated.ts'],
  },
  {
    key: 'typescript',
    title: 'compiling TypeScript',
    command: ['npm', 'run', '--silent', 'build:ts'],
    inputs: [
      ...['src', 'index.d.ts', 'native.d.cts', 'tsconfig.json', 'tsconfig.build.json'],
      ...['packages/manager/src', 'packages/manager/web', 'packages/manager/package.json'],
      ...['packages/manager/tsconfig.build.json', 'scripts/typescript.mjs'],
      ...['packages/fleet/src', 'packages/fleet/package.json'],
      ...['packages/fleet/tsconfig.build.json', 'scripts/package/page.mjs'],
    ],
    settings: [scripts['build:ts']],
    outputs: [
      ...['dist/index.js', 'dist/index.cjs', 'dist/cli/main.js'],
      ...['packages/fleet/dist/index.js', 'packages/manager/dist/index.js'],
    ],
  },
]

/** The file, or every file below the folder, sorted; none if there is nothing. */
function filesBelow(path) {
  if (!existsSync(join(root, path))) return []
  try {
    const entries = readdirSync(join(root, path), { withFileTypes: true, recursive: true })
    const files = entries.filter((entry) => entry.isFile())
    return files.map((entry) => join(entry.parentPath, entry.name)).toSorted()
  } catch (error) {
    if (error.code !== 'ENOTDIR') throw error
    return [join(root, path)]
  }
}

/** Hash of the files' names and bytes. Content, as a checkout changes times and not bytes. */
function hashOf(paths, settings = []) {
  const hash = createHash('sha256').update(JSON.stringify(settings))
  for (const file of paths.flatMap(filesBelow)) {
    const bytes = readFileSync(file)
    hash.update(`\0${relative(root, file)}\0${bytes.length}\0`).update(bytes)
  }
  return hash.digest('hex')
}

function runStep({ key, title, command, inputs, settings, outputs, generated = [] }, say) {
  const file = join(folder, key)
  // Once, before the step: a file edited meanwhile is built next time.
  const before = hashOf(inputs, settings)
  const stamp = () => `${before} ${hashOf(generated)}`
  const isWhole = [file, ...outputs.map((path) => join(root, path))].every(existsSync)
  if (isWhole && readFileSync(file, 'utf8') === stamp()) return true
  say(`set-up: ${title}…`)
  // An interrupted step must not look done.
  rmSync(file, { force: true })
  const { ok, output } = capture(command)
  if (ok) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, stamp())
  } else say(`${output.trimEnd()}\nerror: ${title} failed: ${command.join(' ')}`)
  return ok
}

/** Runs what is not current, until something fails; returns whether nothing did. */
export const runSteps = (say) => steps.every((step) => runStep(step, say))
