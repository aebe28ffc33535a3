// The test run: the steps inside, and their verdict.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { avaCommand, avaReport } from '../report/ava.mjs'
import { rustReport } from '../report/rust.mjs'
import { root, sumLine } from '../run.mjs'
import { rustTests, setUp } from './build.mjs'
import { bundleSpecs, bundled } from './bundle.mjs'
import { titleOf } from './init.mjs'
import { runJob, say } from './job.mjs'
import { Failure, temporaryDirectory } from './scope.mjs'

// libtest names a test that hangs after 60 s, and ava one after its own time-out.
const RUST_SECONDS = 300
const AVA_SECONDS = 1500
const AVA_IDLE_SECONDS = 240

// More would only wait for each other's memory and disk on the machines that this is for.
const MOST_MACHINES = 2

// The machine has one processor: tests that run at once would only use up each other's time-outs.
const ALONE = ['--concurrency=1', '--serial']

const specFolder = join(root, '__test__')
const bundleFolder = join('target', 'svm')

function specFiles() {
  if (!existsSync(specFolder)) return []
  const names = readdirSync(specFolder, { recursive: true })
  return names.filter((name) => name.endsWith('.spec.ts')).map((name) => join('__test__', name))
}

const rustStep = ({ name, path, folder }) => ({
  title: `${name} (Rust)`,
  newReport: rustReport,
  directory: folder,
  command: [path, '--show-output'],
  seconds: RUST_SECONDS,
})

const avaStep = (files, index, idle) => ({
  title: `TypeScript, part ${index + 1}`,
  newReport: avaReport,
  directory: root,
  command: [
    ...avaCommand,
    ...['--config', join(bundleFolder, 'ava.config.mjs'), ...ALONE],
    ...[`--timeout=${idle}s`, ...files.map((file) => join(bundleFolder, bundled(file)))],
  ],
  seconds: AVA_SECONDS,
})

// Few, as ava's own start takes some seconds; sizes tell only roughly how long each takes, so not one alone.
const GROUPS_PER_MACHINE = 2

/** The specs in groups. The Rust tests, which follow in small steps, even out what these leave uneven. */
function avaSteps(specs, machines, idle) {
  const count = machines * GROUPS_PER_MACHINE
  const sized = specs.map((path) => ({ path, size: statSync(join(root, path)).size }))
  const ordered = sized.toSorted((a, b) => b.size - a.size).map(({ path }) => path)
  const groups = Array.from({ length: count }, (_, group) =>
    ordered.filter((__, index) => index % count === group),
  )
  return groups
    .filter((files) => files.length > 0)
    .map((files, index) => avaStep(files, index, idle))
}

/** Hands each line of a machine's output to the report of the step that it stands under, and shows what that returns. */
function reader(steps, mark) {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let report
  const take = (line) => {
    const next = steps.find(({ title }) => title === titleOf(line))
    if (next) report = next.report
    const shown = next || !report ? line : report.line(line)
    if (shown !== undefined) process.stdout.write(`${mark}${shown}`.trimEnd() + '\n')
  }
  return {
    take(chunk) {
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop()
      for (const line of lines) take(line)
    },
    end() {
      if (rest !== '') take(rest)
    },
  }
}

/** Says how a step ended that gave no verdict of its own. */
function remark({ title, seconds }, end) {
  if (!end) return `${title}: did not run to its end`
  if (end.late) return `${title}: not done after ${seconds} s`
  return end.status === 0 ? undefined : `${title}: ended with exit code ${end.status}`
}

function verdict(steps, ends) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const [index, { report }] of steps.entries()) {
    const { skips, ...counts } = report.end(ends[index]?.status ?? 1)
    for (const reason of skips) process.stdout.write(`skipped: ${reason}\n`)
    for (const key of Object.keys(total)) total[key] += counts[key]
  }
  for (const line of steps.map((step, index) => remark(step, ends[index]))) if (line) say(line)
  return total
}

/** Bundles specs: `{ specs, folders, others }`, those to run, where their bundles are for the disk, and those left out. */
async function bundleAll(all, isNamed) {
  if (all.length === 0) return { specs: [], folders: {}, others: [] }
  const folder = temporaryDirectory()
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const concerned = await bundleSpecs(all, manifest, folder)
  const specs = isNamed ? all : concerned
  const others = all.filter((path) => !specs.includes(path))
  return { specs, folders: { [join(root, bundleFolder)]: folder }, others }
}

/** The Rust test programs and the specs that the filters select, or the one file that is named. */
async function choose(filters, { spec }) {
  if (spec) return { programs: [], all: [spec] }
  const selected = (name) => filters.length === 0 || filters.some((filter) => name.includes(filter))
  const programs = (await rustTests()).filter(({ name }) => selected(name))
  return { programs, all: specFiles().filter(selected) }
}

/** Runs the steps and gives how each ended. What QEMU kept from its end by failing an assertion of its own, which is no verdict, runs once more. */
async function runSteps(job, isLast = false) {
  const { steps } = job
  for (const step of steps) step.report = step.newReport()
  const readers = []
  const { ends, troubles, aborted } = await runJob(job, (index) => {
    const output = reader(steps, job.machines > 1 ? `${index + 1}| ` : '')
    readers.push(output)
    return { onOut: output.take, onErr: output.take }
  })
  for (const output of readers) output.end()
  for (const trouble of troubles) say(trouble)
  const left = steps.filter((_, index) => !ends[index])
  if (isLast || !aborted || left.length === 0) return ends
  say(`QEMU failed itself; once more: ${left.map(({ title }) => title).join(', ')}`)
  const machines = Math.min(job.machines, left.length)
  const again = await runSteps({ ...job, steps: left, machines }, true)
  return steps.map((step, index) => ends[index] ?? again[left.indexOf(step)])
}

/** Builds, runs inside what the filters or the options select, and returns the exit code. */
export async function test(filters, options) {
  const begin = Date.now()
  await setUp()
  const { programs, all } = await choose(filters, options)
  const { specs, folders, others } = await bundleAll(all, options.spec !== undefined)
  if (programs.length + specs.length === 0)
    throw new Failure(`no test matches ${filters.join(' ')}`)
  const most = Math.min(MOST_MACHINES, cpus().length)
  const idle = options.idle ?? AVA_IDLE_SECONDS
  const steps = [...avaSteps(specs, most, idle), ...programs.map(rustStep)]
  const job = {
    steps,
    programs: programs.map(({ path }) => path),
    folders,
    together: true,
    machines: Math.min(most, steps.length),
  }
  const counts = verdict(steps, await runSteps(job))
  for (const path of others) {
    process.stdout.write(`skipped: ${path}: it imports nothing of src/, so no KVM matters to it\n`)
  }
  counts.skipped += others.length
  if (counts.passed + counts.failed === 0) say('no test ran')
  say(`${((Date.now() - begin) / 1000).toFixed(0)} s from set-up to verdict`)
  process.stdout.write(`${sumLine(counts)}\n`)
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1
}
