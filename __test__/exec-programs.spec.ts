// SQLite's shell on a database file, beside the host's.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { hostDirectory, memoryDirectory } from '../src/process/index.ts'
import { temporary } from './helpers/exec/given.ts'
import { inProcess, onHost, programTest } from './helpers/exec/host.ts'

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
