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

const AVA = `
  ✔ run › halts (1.2s)
  ✔ run › pages
    ℹ skipped: this KVM does not run paged32
    ℹ skipped: said twice
  ✘ [fail]: run › stops Error thrown in test
    ℹ skipped: a failure is no skip
  - [skip] run › sleeps
  ─

  run › stops

  ✔ this is of its details

  ─

  1 test failed
  1 test skipped
`

test('ava: passed, failed, and skipped with the reason', (t) => {
  const { shown, ...counts } = read(avaReport, AVA, 1)
  t.deepEqual(counts, {
    passed: 1,
    failed: 1,
    skipped: 2,
    skips: ['run › pages: this KVM does not run paged32', 'run › sleeps'],
  })
  t.deepEqual(shown.slice(1, 3), ['  ✔ run › halts (1.2s)', '  ✔ run › pages'])
})

test('ava: a run that ends without counts has failed, and what it said before counts', (t) => {
  const [skipped, failed] = ['  ✔ b\n    ℹ skipped: no /dev/kvm', '  ✘ [fail]: c\n  - [skip] d']
  const died = `  ✔ a\n${skipped}`
  for (const code of [0, 1]) {
    t.like(read(avaReport, died, code), { passed: 1, failed: 1, skipped: 1 })
    t.like(read(avaReport, `${died}\n${failed}`, code), { passed: 1, failed: 1, skipped: 2 })
  }
  t.like(read(avaReport, '', 1), { passed: 0, failed: 1, skipped: 0 })
})

test('ava: a bad exit code is a failure whatever the counts say', (t) => {
  const fine = '  ✔ a\n  ─\n\n  1 test passed'
  t.like(read(avaReport, fine, 0), { passed: 1, failed: 0 })
  t.like(read(avaReport, fine, 1), { passed: 1, failed: 1 })
})

test('ava: what is wrong beside the tests is a failure', (t) => {
  const wrong = [
    'Uncaught exception in a.ts',
    'Unhandled rejection in a.ts',
    '✘ a.ts exited due to SIGSEGV',
  ]
  for (const line of wrong) t.like(read(avaReport, `  ${line}`, 1), { failed: 1 })
})

test('ava: tests whose time is over are named, and one that spins does not hold the run', (t) => {
  // With settings of its own, as those of the project do not select fixtures.
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-reports-'))
  const config = join(folder, 'ava.config.mjs')
  const settings = { files: ['__test__/fixtures/verdicts/*.mjs'], extensions: ['mjs'] }
  writeFileSync(config, `export default ${JSON.stringify({ ...settings, workerThreads: false })}`)
  const specs = ['waits.mjs', 'spins.mjs'].map((name) => `__test__/fixtures/verdicts/${name}`)
  // The ava that runs this has settings of its own.
  const { AVA_PATH: _, NODE_ENV: __, ...env } = process.env
  const run = (seconds: number) => {
    const [command, ...args] = [...avaCommand, '--config', config, `--timeout=${seconds}s`]
    const options = { encoding: 'utf8', env, timeout: 600_000 } as const
    const { stdout, status } = spawnSync(command!, [...args, ...specs], options)
    return { stdout, ...read(avaReport, stdout, status ?? 1) }
  }
  let [seconds, { stdout, shown, ...counts }] = [15, run(15)]
  // On a busy host no test may have begun in that time.
  while (shown.filter((line) => line?.startsWith('  ◌ ')).length < 2 && seconds < 200)
    ({ stdout, shown, ...counts } = run((seconds *= 4)))
  rmSync(folder, { recursive: true })
  t.like(counts, { passed: 1, failed: 2, skipped: 0 })
  t.true(shown.includes('  ◌ waits › this one waits on purpose'), stdout)
  t.true(shown.includes('  ◌ spins › this one spins on purpose'), stdout)
})
