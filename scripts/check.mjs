// npm run check: everything that is not a test of behaviour. Every step runs, whatever the others say.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Skip, runCases } from './cases.mjs'
import { npmLicences } from './licences.mjs'
import { Failure, capture, must, root } from './run.mjs'
import { mustSetUp } from './setup.mjs'
import { findTool } from './tools.mjs'

const GENERATED = ['index.d.ts', 'src/native/words.generated.ts']
const MANAGER = ['src', 'web', '__test__'].map((folder) => `packages/manager/${folder}`)
const FLEET = ['src', '__test__'].map((folder) => `packages/fleet/${folder}`)
const FORMATTED = ['src', '__test__', 'scripts', 'examples', 'bench', ...MANAGER, ...FLEET]

const present = (file) => existsSync(join(root, file))
const generated = () =>
  GENERATED.filter(present)
    .map((file) => readFileSync(join(root, file), 'latin1'))
    .join('\0')

// Before set-up, which may itself build it.
const before = generated()

function generatedFileIsCurrent() {
  must(['npm', 'run', '--silent', 'build:native'])
  // In a clone the tests may have built already; there the commit is what must be current.
  const isCommitted =
    !process.env.CI || capture(['git', 'diff', '--quiet', 'HEAD', ...GENERATED]).ok
  if (isCommitted && generated() === before) return
  throw new Failure(`${GENERATED.join(' or ')} was not current; it is rewritten: commit it`)
}

/** Licences, sources and who may name what; `deny.toml` holds the rules. */
function cratesAreAllowed() {
  const { path, missing } = findTool('cargo-deny')
  if (path !== undefined) must([path, 'check', 'bans', 'licenses', 'sources'])
  // Only where changes are judged must it be there.
  else throw process.env.CI ? new Failure(missing) : new Skip(missing)
}

const command =
  (...words) =>
  () =>
    void must(words)

const tool = (name, ...words) => command(`node_modules/.bin/${name}`, ...words)

const checks = {
  'set-up': mustSetUp,
  'format, Rust': command('cargo', 'fmt', '--all', '--check'),
  'format, TypeScript': tool('oxfmt', '--check', ...FORMATTED),
  clippy: command('cargo', 'clippy', '--workspace', '--all-targets', '--', '-D', 'warnings'),
  lint: tool('oxlint', '--deny-warnings', ...FORMATTED),
  types: tool('tsc', '--noEmit'),
  "the page's types": tool('tsc', '--noEmit', '-p', 'packages/manager/web/tsconfig.json'),
  'the site': command('node', 'scripts/site/main.mjs'),
  unused: tool('knip', '--treat-config-hints-as-errors'),
  'crates, by deny.toml': cratesAreAllowed,
  'licences of npm packages': npmLicences,
  architecture: tool('ava', '__test__/architecture.spec.ts'),
  'the generated file is current': generatedFileIsCurrent,
  'the schema of definitions is current': command('node', 'scripts/schema.mjs'),
}

await runCases(Object.entries(checks))
