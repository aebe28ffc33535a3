// Markdown and comments: their width, and the names that they give to things.
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'

import test from 'ava'

import { ruleNames } from '../src/debug/explain/rules/index.ts'
import { repositoryFiles } from './helpers/architecture/files.ts'
import { treeOf, unknownNames } from './helpers/documents/names.ts'
import { uses, wideLines } from './helpers/prose.ts'

const maxPictureBytes = 60_000

const files = repositoryFiles()
const prose = files.filter(({ path }) => /\.(md|rs|ts)$/.test(path))

test('Markdown and comments are at most 100 columns wide', (t) => {
  t.deepEqual(prose.flatMap(wideLines), [])
})

test('pictures of Markdown are there, and small', (t) => {
  for (const { path, text } of prose.filter((file) => file.path.endsWith('.md')))
    for (const [, picture = ''] of text.matchAll(/!\[[^\]]*\]\((?!https?:)([^)]+)\)/g))
      t.true(statSync(join(dirname(path), picture)).size <= maxPictureBytes, picture)
})

test('a wide line is found, and printed text and URLs are let be', (t) => {
  const wide = 'x'.repeat(98)
  const found = (path: string, text: string): string[] => wideLines({ path, text })
  t.deepEqual(found('a.md', `| ${wide} |`), ['a.md:1: 102 columns, at most 100'])
  t.deepEqual(found('a.rs', `\n/// ${wide}`), ['a.rs:2: 102 columns, at most 100'])
  t.deepEqual(found('a.ts', ` *  ${wide}`), ['a.ts:1: 102 columns, at most 100'])
  t.deepEqual(found('a.ts', `f() // ${wide}`), ['a.ts:1: 105 columns, at most 100'])
  t.deepEqual(found('a.ts', `f('${wide}', ' // ${wide}')`), [])
  t.deepEqual(found('a.md', `\`\`\`text output\n${wide}xyz\n\`\`\`\nhttps://${wide}`), [])
})

test('behind is a place: after is the word for time', (t) => {
  const counts = prose.map((file) => [file.path, uses('behind', file)] as const)
  const total = counts.reduce((sum, [, count]) => sum + count, 0)
  t.true(total <= 15, `${total}: ${counts.filter(([, count]) => count > 0).join(' ')}`)
  t.is(uses('behind', { path: 'a.ts', text: ' * Behind\nlet behind\n/// behind' }), 2)
})

/** Names of others': npm's commands, functions and files of the kernel, gcc and QEMU; sub-paths. */
const allowed = [
  ...ruleNames,
  'flamegraph.pl',
  'NAME/control.sock',
  "moduleTypes: { '.node': 'copy' }",
  'vmexit/process',
  'npm audit',
  'npm publish',
  'epoll_wait',
  'io_uring',
  'sync_file_range',
  'qemu_mutex_lock_iothread_impl',
  '__stack_chk_fail',
  'etc/e820',
  'etc/table-loader',
  'vmexit.json',
]

test('names in Markdown are names in the tree', (t) => {
  // The change log also has the names of earlier releases.
  const documents = files.filter(({ path }) => path.endsWith('.md') && path !== 'CHANGELOG.md')
  // Names that this file makes up are not the tree's.
  const isThis = (path: string): boolean => path === '__test__/prose.spec.ts'
  const tree = treeOf(files.map((file) => (isThis(file.path) ? { ...file, text: '' } : file)))
  t.deepEqual(
    documents.flatMap((file) => unknownNames(file, tree, allowed)),
    [],
  )
})

test('a name that is nowhere is found', (t) => {
  const tree = treeOf([
    { path: 'package.json', text: '{ "scripts": { "check": "" } }' },
    {
      path: 'src/cli/run.ts',
      text: "const runGuest = { timeout: 'timer', 'power-off': 1 } // stopGuest",
    },
    { path: 'crates/vmm/src/vcpu.rs', text: 'impl Vcpu {\n  fn access_data() {}\n}' },
  ])
  const found = (text: string): string[] =>
    unknownNames({ path: 'docs/a.md', text }, tree, ['O_CREAT']).map((line) => line.split('`')[1]!)
  const right = ['runGuest', 'vm.runGuest()', 'Vcpu::access_data', 'src/cli/', 'cli/{run,run}.ts']
  right.push('npm run check', 'hlt', 'O_CREAT', '{ runGuest, timeout }', 'power-off', "'timer'")
  t.deepEqual(found(right.map((name) => `\`${name}\``).join(' ')), [])
  const wrong = ['stopGuest', 'vm.stopGuest()', 'Vcpu::port_data', 'src/api/', 'cli/{run,x}.ts']
  wrong.push('npm run lint', 'docs/b.md', '{ runGuest, stopGuest }', 'power-on', "'times'", 'x.sh')
  t.deepEqual(found(wrong.map((name) => `\`${name}\``).join(' ')), wrong)
  // A span goes on in the next line; what the document's own code makes is known.
  t.deepEqual(found('`{ runGuest,\nstopGuest }`'), ['{ runGuest, stopGuest }'])
  t.deepEqual(found('```sh\n`stopGuest`\n```'), [])
  // Another program's names have a column.
  t.deepEqual(found('| there | here |\n| --- | --- |\n| `a_b` | `c_d` |\n'), ['c_d'])
  t.deepEqual(found('```ts\n// a.ts\nclass StopGuest {}\n```\n`StopGuest` is in `a.ts`'), [])
  t.deepEqual(found('```text output\nStopGuest\n```\n`StopGuest`'), ['StopGuest'])
})
