// npm run check: everything that is not a test of behaviour. Every step runs, whatever the others say.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { npmLicences } from './licences.mjs'
import { capture, root, sumLine } from './run.mjs'
import { setup } from './setup.mjs'
import { findTool } from './tools.mjs'

const GENERATED = 'index.d.ts'
const FORMATTED = ['src', '__test__', 'scripts', 'examples', 'bench']

const generated = () =>
  existsSync(join(root, GENERATED)) ? readFileSync(join(root, GENERATED), 'latin1') : undefined

// Before set-up, which may itself build it.
const before = generated()

function generatedFileIsCurrent() {
  const built = capture(['npm', 'run', '--silent', 'build:native'])
  // In a clone the tests may have built already; there the commit is what must be current.
  const committed = !process.env.CI || capture(['git', 'diff', '--quiet', 'HEAD', GENERATED]).ok
  if (!built.ok || (committed && generated() === before)) return built
  return { ok: false, output: `${GENERATED} was not current; it is rewritten: commit it` }
}

/** Licences, sources and who may name what; `deny.toml` holds the rules. */
function cratesAreAllowed() {
  const { path, missing } = findTool('cargo-deny')
  if (path !== undefined) return capture([path, 'check', 'bans', 'licenses', 'sources'])
  // Only where changes are judged must it be there.
  return { ok: !process.env.CI, skipped: true, output: missing }
}

const command =
  (...words) =>
  () =>
    capture(words)

const tool = (name, ...words) => command(`node_modules/.bin/${name}`, ...words)

const steps = {
  'format, Rust': command('cargo', 'fmt', '--all', '--check'),
  'format, TypeScript': tool('oxfmt', '--check', ...FORMATTED),
  clippy: command('cargo', 'clippy', '--workspace', '--all-targets', '--', '-D', 'warnings'),
  lint: tool('oxlint', '--deny-warnings', ...FORMATTED),
  types: tool('tsc', '--noEmit'),
  reference: tool('typedoc', '--logLevel', 'Warn'),
  unused: tool('knip', '--treat-config-hints-as-errors'),
  'crates, by deny.toml': cratesAreAllowed,
  'licences of npm packages': npmLicences,
  architecture: tool('ava', '__test__/architecture.spec.ts'),
  'the generated file is current': generatedFileIsCurrent,
  'the schema of definitions is current': command('node', 'scripts/schema.mjs'),
}

const counts = { passed: 0, failed: 0, skipped: 0 }
if (!setup()) counts.failed = 1
else {
  for (const [name, step] of Object.entries(steps)) {
    const start = performance.now()
    const { ok, skipped, output } = step()
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const verdict = !ok ? 'failed' : skipped ? 'skipped' : 'passed'
    console.log(`${verdict.padEnd(7)} ${name} (${seconds} s)`)
    if (verdict !== 'passed') console.log(output.trimEnd())
    counts[verdict] += 1
  }
}
console.log(sumLine(counts))
process.exitCode = counts.failed === 0 ? 0 : 1
