// The counts that `npm test` closes with come from the suites' own reports.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

interface Counts {
  passed: number
  failed: number
  skipped: number
  skips: string[]
}

interface Report {
  line(text: string): string | undefined
  end(code: number): Counts
}

interface Reports {
  rustReport: () => Report
  avaReport: () => Report
  avaCommand: string[]
}

const load = async (name: string): Promise<Reports> =>
  (await import(new URL(`../scripts/report/${name}.mjs`, import.meta.url).href)) as never

const { rustReport } = await load('rust')
const { avaReport, avaCommand } = await load('ava')

function read(make: (() => Report) | undefined, text: string, code: number) {
  const report = make?.() as Report
  const shown = text.split('\n').map((line) => report.line(line))
  return { ...report.end(code), shown: shown.filter((line) => line !== undefined) }
}

const RUST = `
running 4 tests
test slow ... ignored, takes an hour
test adds ... ok
test halts ... ok
test fails ... FAILED

successes:

---- halts stdout ----
skipped: halts: no /dev/kvm
skipped: halts: said twice


successes:
    adds
    halts

failures:

---- fails stdout ----
skipped: fails: a failure is no skip

failures:
    fails

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`

test('cargo test: passed, failed, and skipped with the reason', (t) => {
  const { shown, ...counts } = read(rustReport, RUST, 101)
  t.deepEqual(counts, {
    passed: 1,
    failed: 1,
    skipped: 2,
    skips: ['slow: takes an hour', 'halts: no /dev/kvm'],
  })
  t.false(shown.includes('successes:'))
  t.true(shown.includes('---- fails stdout ----'))
})

test('cargo test: a program that leaves no result has failed', (t) => {
  const aborted =
    'running 1 test\n\nrunning 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored;'
  t.like(read(rustReport, aborted, 101), { passed: 1, failed: 1 })
})

test('cargo test: what does not compile has failed', (t) => {
  t.like(read(rustReport, '', 101), { passed: 0, failed: 1 })
})

const AVA = `TAP version 13
ok 1 - run › halts
ok 2 - run › pages
#   skipped: this KVM does not run paged32
not ok 3 - run › stops
  ---
    name: AssertionError
  ...
ok 4 - run › sleeps # SKIP

1..4
# tests 4
# pass 2
# skip 1
# fail 1
`

test('ava: passed, failed, and skipped with the reason', (t) => {
  const { shown, ...counts } = read(avaReport, AVA, 1)
  t.deepEqual(counts, {
    passed: 1,
    failed: 1,
    skipped: 2,
    skips: ['run › pages: this KVM does not run paged32', 'run › sleeps'],
  })
  t.deepEqual(shown.slice(0, 2), ['✔ run › halts', '✔ run › pages'])
})

test('ava: a run that ends without totals has failed, and what it said before counts', (t) => {
  const [skipped, failed] = ['ok 2 - b\n#   skipped: no /dev/kvm', 'not ok 3 - c\nok 4 - d # SKIP']
  const died = `TAP version 13\nok 1 - a\n${skipped}`
  for (const code of [0, 1]) {
    t.like(read(avaReport, died, code), { passed: 1, failed: 1, skipped: 1 })
    t.like(read(avaReport, `${died}\n${failed}`, code), { passed: 1, failed: 1, skipped: 2 })
  }
  t.like(read(avaReport, '', 1), { passed: 0, failed: 1, skipped: 0 })
})

test('ava: a bad exit code is a failure whatever the totals say', (t) => {
  t.like(read(avaReport, '# tests 1\n# pass 1\n# fail 0', 1), { passed: 1, failed: 1 })
})

test('ava: a test whose time is over is named', (t) => {
  // With settings of its own, as those of the project do not select fixtures.
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-reports-'))
  const config = join(folder, 'ava.config.mjs')
  const settings = { files: ['__test__/fixtures/verdicts/*.mjs'], extensions: ['mjs'] }
  writeFileSync(config, `export default ${JSON.stringify({ ...settings, workerThreads: false })}`)
  const spec = '__test__/fixtures/verdicts/waits.mjs'
  const [command, ...args] = [...avaCommand, '--config', config, '--tap', '--timeout=5s', spec]
  // The ava that runs this has settings of its own.
  const { AVA_PATH: _, NODE_ENV: __, ...env } = process.env
  const { stdout, status } = spawnSync(command!, args, {
    encoding: 'utf8',
    env,
    timeout: 60_000,
  })
  rmSync(folder, { recursive: true })
  const { shown, ...counts } = read(avaReport, stdout, status ?? 1)
  t.like(counts, { passed: 1, failed: 1, skipped: 0 })
  t.true(shown.includes('✘ this one waits on purpose'), stdout)
})
