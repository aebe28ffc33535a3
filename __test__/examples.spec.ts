// Every example runs and prints what its header says: programs of their own, and the recipes of the
// cookbook, each in a folder that is removed afterwards.
import { execFile, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'

import { kvmTest } from './helpers/kvm.ts'

const execute = promisify(execFile)
const loader = import.meta.resolve('@oxc-node/core/register')

const headerOf = (file: string): string =>
  readFileSync(file, 'utf8').match(/^(\/\/.*\n)+/)?.[0] ?? ''

/** The lines that the header promises. */
function promised(file: string): string {
  const text = /^\/\/ prints: (.*)/ms.exec(headerOf(file))?.[1] ?? ''
  // As far as the first line is indented; what is more is printed.
  return text.replaceAll(/^\/\/ {9}/gm, '')
}

/** Those that take long get told to do less, as their headers say. */
const less: Record<string, string[]> = { 'fuzz.ts': ['2000'], 'fuzz-parser.ts': ['500'] }

/** Programs of the host that are run, where they are there. */
const needed: Record<string, string[]> = {
  'build-box.ts': ['as', 'ld', '/lib64'],
  'untrusted-python.ts': ['/usr/bin/python3', '/lib64'],
}

/** What a file says that it needs, and what assembles a guest. */
function needs(name: string): string[] {
  const file = join('examples', name)
  const said = /^\/\/ needs: (.*)$/m.exec(headerOf(file))?.[1]?.split(', ') ?? []
  const assembles = readFileSync(file, 'utf8').includes('assembleSync')
  return [...(needed[name] ?? []), ...said, ...(assembles ? ['as', 'ld'] : [])]
}

/** A path, or a program in PATH. */
function isHere(need: string): boolean {
  if (need.startsWith('/')) return existsSync(need)
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, need)))
}

// A process each, which would all begin at once.
const lanes = Array.from({ length: availableParallelism() + 1 }, () => Promise.resolve<unknown>(0))
let turns = 0

/** Begins a work when one that was begun before it is done. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const lane = turns++ % lanes.length
  const done = lanes[lane]!.then(work)
  lanes[lane] = done.catch(() => undefined)
  return done
}

/** Whether a text is what was promised, where … is any text within a line. */
function isAs(text: string, promise: string): boolean {
  const parts = promise.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(text)
}

/** What a terminal shows, in which a line that begins anew replaces what it was. */
const shown = (text: string): string => text.replaceAll(/^.*\r(?!\n)/gm, '')

const inFolder = (folder: string): string[] =>
  readdirSync(join('examples', folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))

const groups = readdirSync('examples/cookbook').map((group) => join('cookbook', group))
const examples = ['', ...groups].flatMap(inFolder)

test('there are examples, and recipes of the cookbook', (t) => {
  const recipes = examples.filter((name) => name.startsWith('cookbook/'))
  t.true(examples.length - recipes.length >= 2)
  t.true(recipes.length >= 30, `${recipes.length} recipes`)
})

/** What is wrong with the pages of a tree, one line each. */
function complaints(root: string): string[] {
  const args = ['scripts/docs/cookbook.mjs', '--root', root]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const lines = stdout.split('\n').slice(0, -1)
  return lines.length > 0 === (status === 1) ? lines : [`it ended with ${status}`]
}

test('pages and recipes of the cookbook are one', (t) => {
  t.deepEqual(complaints('.'), [])
})

test('a recipe without its page, or another one, is found', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'vmexit-cookbook-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  const [code, pages] = [join(root, 'examples/cookbook/native'), join(root, 'docs/cookbook')]
  cpSync('examples/cookbook/native', code, { recursive: true })
  cpSync('docs/cookbook/native.md', join(pages, 'native.md'))
  writeFileSync(join(pages, 'README.md'), '<!-- recipes -->\n<!-- end of recipes -->\n')
  const write = (file: string, text: string) => writeFileSync(join(code, file), text)
  write('sse.ts', '// Call a C function that uses SSE\n//\n// prints: 71\nimport "vmexit"\n')
  write('long.ts', `// Be long\n//\n// prints: 1\n${'await 1\n'.repeat(31)}`)
  t.deepEqual(complaints(root), [
    'examples/cookbook/native/long.ts has 31 lines, at most 30',
    "docs/cookbook/native.md has no code under '## Be long'",
    'docs/cookbook/native.md is not current: run `node scripts/docs/cookbook.mjs --write`',
    'docs/cookbook/README.md is not current: run `node scripts/docs/cookbook.mjs --write`',
  ])
})

for (const name of examples) {
  kvmTest(`examples/${name} prints what it says`, async (t) => {
    const missing = needs(name).find((need) => !isHere(need))
    if (missing !== undefined) {
      t.log(`skipped: no ${missing} here`)
      t.pass()
      return
    }
    const file = resolve('examples', name)
    const args = ['--import', loader, file, ...(less[name] ?? [])]
    const cwd = mkdtempSync(join(tmpdir(), 'vmexit-example-'))
    t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
    const run = () => execute(process.execPath, args, { cwd, timeout: 60_000 })
    const { stdout, stderr } = await inTurn(run)
    t.not(promised(file), '')
    if (!isAs(shown(stdout), promised(file))) t.is(shown(stdout), promised(file))
    t.is(stderr, '')
  })
}
