// Programs of C and Rust, static and not, and SQLite's shell on a database file, beside the same on
// the host.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { hostDirectory, memoryDirectory } from '../src/process/index.ts'
import { temporary, treeOf } from './helpers/exec/given.ts'
import { inProcess, onHost, programTest } from './helpers/exec/host.ts'
import { kvmTest } from './helpers/kvm.ts'
import { nativeImage, warnings } from './helpers/native.ts'

const sqlite = ['/usr/bin/sqlite3', 'sqlite3'] as const
const root = { '/': hostDirectory('/', { readOnly: true }) }

const rows = Array.from(
  { length: 10_000 },
  (_, row) => `insert into t(name, v) values ('n${(row * 7919) % 10_007}', ${row / 3});`,
)
const fills = `create table t(id integer primary key, name text, v real);
begin;
${rows.join('\n')}
commit;
create index named on t(name);
begin; delete from t where id % 2 = 0; rollback;
begin; update t set v = v + 1 where id < 100; commit;
`
const asks = `select count(*), sum(v), min(name), max(name) from t;
explain query plan select * from t where name = 'n5';
select * from t where name like 'n99%' order by v desc limit 20;
with recursive f(a, b) as (select 0, 1 union all select b, a + b from f limit 50) select a from f;
select json_object('n', count(*)), printf('%.3f', avg(v)) from t group by id % 7;
pragma integrity_check;
select nothing from t;
.mode csv
select * from t where id < 5;
.schema
.dump
`

programTest("SQLite's shell writes and reads what the host's does", sqlite, async (t, program) => {
  using folder = temporary()
  const { path } = folder
  const files = { ...root, '/tmp': memoryDirectory(), [path]: hostDirectory(path) }
  const here = (name: string, stdin: string) => onHost(program, [name], { cwd: path, stdin })
  const there = async (name: string, stdin: string) => {
    const { refused: _, ...outcome } = await inProcess(program, [name], { cwd: path, stdin, files })
    return outcome
  }
  t.deepEqual(await there('guest.db', fills), await here('host.db', fills))
  t.deepEqual(readFileSync(join(path, 'guest.db')), readFileSync(join(path, 'host.db')))
  const expected = await here('host.db', asks)
  t.true(expected.stdout.length > 300_000)
  // Each reads what the other has written.
  for (const outcome of [
    await there('guest.db', asks),
    await there('host.db', asks),
    await here('guest.db', asks),
  ])
    t.deepEqual(outcome, expected)
  // In memory, and with a journal that is kept.
  const all = `pragma journal_mode = persist;\n${fills}${asks}`
  t.deepEqual(await there('/tmp/a.db', all), await here('other.db', all))
})

const c = ['-std=gnu11', '-O2', ...warnings, '-Wno-pedantic']
const rust = ['--edition', '2021', '-O']
const math = ['-lm']

/** An everyday program, as each of these makes it. */
const everyday = {
  'static C': { tool: 'cc', options: [...c, '-static'], libraries: math },
  'static C that stands anywhere': {
    tool: 'cc',
    options: [...c, '-fPIE', '-static-pie'],
    libraries: math,
  },
  'dynamic C': { tool: 'cc', options: [...c, '-fPIE', '-pie'], libraries: math },
  'dynamic C at a fixed address': {
    tool: 'cc',
    options: [...c, '-fno-pie', '-no-pie'],
    libraries: math,
  },
  'C with musl': { tool: 'musl-gcc', options: [...c, '-static'], libraries: math },
  'static Rust': { tool: 'rustc', options: [...rust, '--target', 'x86_64-unknown-linux-musl'] },
  'dynamic Rust': { tool: 'rustc', options: [...rust, '-g'] },
}

for (const [title, { tool, ...build }] of Object.entries(everyday))
  kvmTest(`a program does what it does on the host: ${title}`, async (t) => {
    const name = tool === 'rustc' ? 'everyday.rs' : 'everyday.c'
    const source = readFileSync(join('__test__/fixtures/programs', name))
    const key = createHash('sha256').update(source).digest('hex').slice(0, 8)
    const sources = [join('../programs', name)]
    const built = nativeImage(`everyday-${key}`, { tool, sources, ...build })
    if ('missing' in built) {
      t.log(`skipped: ${built.missing}`)
      t.pass()
      return
    }
    using folder = temporary()
    const { path } = folder
    const program = join(path, 'program')
    writeFileSync(program, built.image, { mode: 0o755 })
    const [here, there] = ['host', 'guest'].map((at) => join(path, at)) as [string, string]
    for (const at of [here, there]) mkdirSync(at)
    const setting = { cwd: here, env: { NAME: 'value' }, stdin: 'one\ntwo\n' }
    const expected = await onHost(program, ['word'], setting)
    const files = { ...root, [here]: hostDirectory(there), [program]: built.image }
    const { refused, ...found } = await inProcess(program, ['word'], { ...setting, files })
    t.deepEqual(found, expected)
    t.is(found.exitCode, 42)
    t.deepEqual(treeOf(there), treeOf(here))
    t.deepEqual(refused, {})
    // Without a directory of the host at all, as far as it has its libraries.
    const memory = { ...root, [here]: memoryDirectory(), [program]: built.image }
    const { refused: _, ...again } = await inProcess(program, ['word'], {
      ...setting,
      files: memory,
    })
    t.deepEqual(again, expected)
  })
