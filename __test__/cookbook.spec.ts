// The cookbook: every recipe runs and prints what it says, in a folder that is removed afterwards,
// and the pages show the recipes.
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'

import { kvmTest } from './helpers/kvm.ts'
import { Lanes } from './helpers/lanes.ts'
import { keeps, missingFor, recipesIn } from './helpers/recipes.ts'

const execute = promisify(execFile)
const loader = import.meta.resolve('@oxc-node/core/register')
const recipes = [...recipesIn('.').values()].flat()

test('there are thirty recipes', (t) => {
  t.true(recipes.length >= 30, `${recipes.length}`)
})

/** What is wrong with the pages of a tree, one line each. */
function complaints(root: string): string[] {
  const args = ['scripts/docs/cookbook.mjs', '--root', root]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const lines = stdout.split('\n').slice(0, -1)
  return lines.length > 0 === (status === 1) ? lines : [`it ended with ${status}`]
}

test('pages show the recipes', (t) => {
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

test('output is compared as a terminal shows it', (t) => {
  const recipe = { path: '', output: 'one …\n[#] 1\n' }
  t.true(keeps(recipe, 'one or two\n\r[ ] 0\r[#] 1\n'))
  t.false(keeps(recipe, 'one or two\n\r[#] 1\r[ ] 0\n'))
  t.false(keeps(recipe, 'one or\n two\n[#] 1\n'))
})

// A process each, which would all begin at once.
const lanes = new Lanes(availableParallelism() + 1)

for (const recipe of recipes) {
  kvmTest(`${recipe.path} prints what it says`, async (t) => {
    t.timeout(1_800_000)
    const missing = missingFor(recipe)
    if (missing !== undefined) {
      t.log(`skipped: no ${missing} here`)
      t.pass()
      return
    }
    const cwd = mkdtempSync(join(tmpdir(), 'vmexit-recipe-'))
    t.teardown(() => rmSync(cwd, { recursive: true, force: true }))
    const args = ['--import', loader, resolve(recipe.path)]
    const run = () => execute(process.execPath, args, { cwd, timeout: 600_000 })
    const { stdout, stderr } = await lanes.inTurn(run)
    if (!keeps(recipe, stdout)) t.is(stdout, recipe.output)
    t.is(stderr, '')
  })
}
