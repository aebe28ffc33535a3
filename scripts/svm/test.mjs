// The test run: what the host builds, as the machine would take too long, the steps inside, and their verdict.
import { readdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { debianRoot } from '../debian-root.mjs'
import { avaCommand, avaReport } from '../report/ava.mjs'
import { rustReport } from '../report/rust.mjs'
import { Failure, root, run, sumLine } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'
import { bundleSpecs, bundled } from './bundle.mjs'
import { runJob, say } from './job.mjs'

const BUILD_SECONDS = 900
// libtest names a test that hangs after 60 s, and ava one after its own time-out.
const RUST_SECONDS = 900
const AVA_SECONDS = 2400

// More would only wait for each other's memory and disk on the machines that this is for.
const MOST_MACHINES = 2
const GROUPS_PER_MACHINE = 2

// The machine has one processor: tests that run at once would only use up each other's time-outs.
const ALONE = ['--concurrency=1', '--serial']

const BUNDLES = join('target', 'svm')

/** Brings the addon and dist up to date. */
export const setUp = () =>
  run([process.execPath, 'scripts/setup.mjs', '--without-kvm'], {
    seconds: BUILD_SECONDS,
    show: true,
  })

/** A step for each Rust test program that is wanted, in the folder where cargo would run it. */
async function rustSteps(isWanted) {
  // The whole workspace, as npm test does: the same features, so nothing is compiled twice.
  const words = 'cargo test --workspace --no-run --message-format=json-render-diagnostics'
  const text = await run(words.split(' '), { seconds: BUILD_SECONDS, show: true })
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ executable, profile }) => executable && profile.test)
    .filter(({ target }) => isWanted(target.name))
    .map(({ target, executable, manifest_path: manifest }) => ({
      title: `${target.name} (Rust)`,
      newReport: rustReport,
      directory: dirname(manifest),
      command: [executable, '--show-output'],
      seconds: RUST_SECONDS,
    }))
}

/** Steps for the specs: few, as ava's own start takes some seconds. */
function avaSteps(specs, count, idle) {
  const groups = Array.from({ length: count }, (_, group) =>
    specs.filter((__, index) => index % count === group),
  )
  const config = ['--config', join(BUNDLES, 'ava.config.mjs')]
  return groups
    .filter((files) => files.length > 0)
    .map((files, index) => ({
      title: `TypeScript, part ${index + 1}`,
      newReport: avaReport,
      directory: root,
      command: [
        ...[...avaCommand, ...config, ...ALONE, `--timeout=${idle}s`],
        ...files.map((file) => join(BUNDLES, bundled(file))),
      ],
      seconds: AVA_SECONDS,
    }))
}

/** A step whose report reads what it says, line by line; what a reader should see of it is shown. */
function reported(step, isAlone) {
  const report = step.newReport()
  let rest = `== ${step.title}\n`
  const take = (text, _, machine) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const shown = report.line(line)
      if (shown === undefined) continue
      process.stdout.write(`${isAlone ? '' : `${machine}| `}${shown}`.trimEnd() + '\n')
    }
  }
  return { ...step, take, report }
}

/** Runs the steps, and once more those that QEMU kept from their end by an assertion of its own. */
async function runSteps(steps, binds, isAgain = false) {
  const machines = Math.min(MOST_MACHINES, cpus().length, steps.length)
  const read = steps.map((step) => reported(step, machines === 1))
  const { ends, troubles, aborted } = await runJob({ steps: read, binds, together: true, machines })
  for (const trouble of troubles) say(trouble)
  const done = read.map((step, index) => ({ ...step, end: ends[index] }))
  const left = done.filter(({ end }) => !end)
  if (isAgain || !aborted || left.length === 0) return done
  say(`QEMU failed itself; once more: ${left.map(({ title }) => title).join(', ')}`)
  return [...done.filter(({ end }) => end), ...(await runSteps(left, binds, true))]
}

/** Says how a step ended that gave no verdict of its own. */
function remark({ title, seconds, end }) {
  if (!end) say(`${title}: did not run to its end`)
  else if (end.late) say(`${title}: not done after ${seconds} s`)
  else if (end.status !== 0) say(`${title}: ended with exit code ${end.status}`)
}

function verdict(steps) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const { report, end } of steps) {
    const { skips, ...counts } = report.end(end?.status ?? 1)
    for (const reason of skips) process.stdout.write(`skipped: ${reason}\n`)
    for (const key of Object.keys(total)) total[key] += counts[key]
  }
  for (const step of steps) remark(step)
  return total
}

/** Builds, runs inside what the filters or the options select, and returns the exit code. */
export async function test(filters, { idle, spec }) {
  const begin = Date.now()
  await setUp()
  const isWanted = (name) => filters.length === 0 || filters.some((part) => name.includes(part))
  const programs = spec ? [] : await rustSteps(isWanted)
  const names = readdirSync(join(root, '__test__'), { recursive: true })
  const found = names.filter((name) => name.endsWith('.spec.ts') && isWanted(name))
  const all = spec ? [spec] : found.map((name) => join('__test__', name))
  const folder = temporaryDirectory()
  const concerned = await bundleSpecs(all, folder)
  const specs = spec ? all : concerned
  const others = all.filter((path) => !specs.includes(path))
  if (specs.some((path) => path.endsWith('debian.spec.ts'))) await debianRoot(say)
  const groups = GROUPS_PER_MACHINE * Math.min(MOST_MACHINES, cpus().length)
  const steps = [...avaSteps(specs, groups, idle), ...programs]
  if (steps.length === 0) throw new Failure(`no test matches ${filters.join(' ')}`)
  const counts = verdict(await runSteps(steps, { [join(root, BUNDLES)]: folder }))
  for (const path of others) {
    process.stdout.write(`skipped: ${path}: it imports nothing of src/, so no KVM matters to it\n`)
  }
  counts.skipped += others.length
  if (counts.passed + counts.failed === 0) say('no test ran')
  say(`${((Date.now() - begin) / 1000).toFixed(0)} s from set-up to verdict`)
  process.stdout.write(`${sumLine(counts)}\n`)
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1
}
