// npm run check: everything that is not a test of behaviour. Every step runs, whatever the others say.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root, sumLine } from './run.mjs'
import { setup } from './setup.mjs'
import { npmLicences } from './licences.mjs'
import { findTool } from './tools.mjs'

const GENERATED = ['index.d.ts', 'src/native/words.generated.ts']
const FORMATTED = ['src', '__test__', 'scripts', 'examples', 'bench']

const bytesOf = (file) =>
  existsSync(join(root, file)) ? readFileSync(join(root, file), 'latin1') : undefined

// Before set-up, which may itself build them.
const before = GENERATED.map(bytesOf)

const present = (paths) => paths.filter((path) => existsSync(join(root, path)))

function generatedFilesAreCurrent() {
  const { ok, output } = capture(['npm', 'run', '--silent', 'build:native'])
  if (!ok) return { ok, output }
  const changed = new Set(GENERATED.filter((file, i) => bytesOf(file) !== before[i]))
  if (process.env.CI) {
    // In a clone the tests may have built already; there the commit is what must be current.
    for (const file of GENERATED) {
      if (!capture(['git', 'diff', '--quiet', 'HEAD', '--', file]).ok) changed.add(file)
    }
  }
  const remedy = 'was not current; it is rewritten: run `npm run build:native` and commit it\n'
  return {
    ok: changed.size === 0,
    output: [...changed].map((file) => `${file} ${remedy}`).join(''),
  }
}

const command =
  (...words) =>
  () =>
    capture(words)

/** Licences, sources and who may name what; `deny.toml` holds the rules. */
function cratesAreAllowed() {
  const { path, missing } = findTool('cargo-deny')
  if (path !== undefined) return capture([path, 'check', 'bans', 'licenses', 'sources'])
  // Only where changes are judged must it be there.
  return { ok: !process.env.CI, skipped: true, output: missing }
}

const steps = {
  'format, Rust': command('cargo', 'fmt', '--all', '--check'),
  'format, TypeScript': command('node_modules/.bin/oxfmt', '--check', ...present(FORMATTED)),
  clippy: command('cargo', 'clippy', '--workspace', '--all-targets', '--', '-D', 'warnings'),
  lint: command('node_modules/.bin/oxlint', '--deny-warnings', ...present(FORMATTED)),
  types: command('node_modules/.bin/tsc', '--noEmit'),
  reference: command('node_modules/.bin/typedoc', '--logLevel', 'Warn'),
  unused: command('node_modules/.bin/knip', '--treat-config-hints-as-errors'),
  'crates, by deny.toml': cratesAreAllowed,
  'licences of npm packages': npmLicences,
  architecture: command('node_modules/.bin/ava', '__test__/architecture.spec.ts'),
  'generated files are current': generatedFilesAreCurrent,
  'the schema of definitions is current': command('node', 'scripts/schema.mjs'),
}

function runSteps() {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [name, step] of Object.entries(steps)) {
    const start = performance.now()
    const { ok, skipped, output } = step()
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const verdict = !ok ? 'failed' : skipped ? 'skipped' : 'passed'
    console.log(`${verdict.padEnd(7)} ${name} (${seconds} s)`)
    if (!ok || skipped) console.log(output.trimEnd())
    counts[verdict] += 1
  }
  return counts
}

const counts = setup() ? runSteps() : { passed: 0, failed: 1, skipped: 0 }
console.log(sumLine(counts))
process.exitCode = counts.failed === 0 ? 0 : 1
