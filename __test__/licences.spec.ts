// The rule of the licence check in `npm run check`.
import test from 'ava'

// The scripts are JavaScript without declarations.
const load = (path: string) => import(new URL(`../scripts/${path}`, import.meta.url).href)
const { isAllowed } = await load('licences/spdx.mjs')
const { licenceProblems } = await load('licences.mjs')

const allowed = new Set(['MIT', 'Apache-2.0', 'Unicode-3.0'])

const expressions: [string, boolean][] = [
  ['MIT', true],
  ['GPL-3.0', false],
  ['MIT OR GPL-3.0', true],
  ['GPL-3.0 OR MIT', true],
  ['MIT/GPL-3.0', true],
  ['MIT AND GPL-3.0', false],
  ['GPL-3.0 AND MIT', false],
  ['(MIT OR GPL-3.0) AND Unicode-3.0', true],
  ['(MIT OR Apache-2.0) AND GPL-3.0', false],
  ['MIT OR Apache-2.0 AND GPL-3.0', true],
  ['Apache-2.0 WITH LLVM-exception', false],
  ['(MIT', false],
  ['MIT)', false],
  ['', false],
]

for (const [expression, fine] of expressions) {
  test(`'${expression}' is ${fine ? '' : 'not '}allowed`, (t) => {
    t.is(isAllowed(expression, allowed), fine)
  })
}

const source = 'registry+https://github.com/rust-lang/crates.io-index'

test('packages of the wrong licence, kind or place are named', (t) => {
  const npm = [
    { name: 'tool', dev: true, licence: 'BlueOak-1.0.0' },
    { name: 'vmexit-linux-x64-gnu', dev: false, licence: 'MIT' },
    { name: 'copyleft', dev: true, licence: 'GPL-2.0-only' },
    { name: 'silent', dev: true, licence: undefined },
    { name: 'runtime', dev: false, licence: 'MIT' },
  ]
  const crates = [
    { name: 'ours', licence: 'MIT OR Apache-2.0', source: null },
    { name: 'theirs', licence: 'ISC', source },
    { name: 'tool-only', licence: 'BlueOak-1.0.0', source },
    { name: 'elsewhere', licence: 'MIT', source: 'git+https://example.com/x' },
  ]
  t.deepEqual(
    licenceProblems(npm, crates).map((line: string) => line.split(':')[0]),
    ['npm copyleft', 'npm silent', 'npm runtime', 'crate tool-only', 'crate elsewhere'],
  )
})
