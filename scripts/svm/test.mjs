// The test run: the steps inside, and their verdict.
import { existsSync, readdirSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { join } from 'node:path'
import { avaReport } from '../report/ava.mjs'
import { rustReport } from '../report/rust.mjs'
import { root, sumLine } from '../run.mjs'
import { rustTests, setUp } from './build.mjs'
import { titleOf } from './init.mjs'
import { Failure } from './scope.mjs'

// libtest names a test that hangs after 60 s, and ava one after its own time-out.
const RUST_SECONDS = 120
const AVA_SECONDS = 1200
const AVA_IDLE = '4m'

const specFolder = join(root, '__test__')

function specFiles() {
  if (!existsSync(specFolder)) return []
  const names = readdirSync(specFolder, { recursive: true })
  return names.filter((name) => name.endsWith('.spec.ts')).map((name) => join('__test__', name))
}

const rustStep = ({ name, path, folder }) => ({
  title: `${name} (Rust)`,
  report: rustReport(),
  directory: folder,
  command: [path, '--show-output'],
  seconds: RUST_SECONDS,
})

/** All specs in one start of ava, as the start is what takes most of the time inside. */
const avaStep = (files) => ({
  title: 'TypeScript',
  report: avaReport(),
  directory: root,
  command: [
    ...['node', '--import', './scripts/svm/ava-tap.mjs', 'node_modules/ava/entrypoints/cli.mjs'],
    ...['--tap', `--timeout=${AVA_IDLE}`, ...files],
  ],
  seconds: AVA_SECONDS,
})

/** Hands each line of the output to the report of the step that it stands under, and shows what that returns. */
function reader(steps) {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let report
  const take = (line) => {
    const next = steps.find(({ title }) => title === titleOf(line))
    if (next) report = next.report
    const shown = next || !report ? line : report.line(line)
    if (shown !== undefined) process.stdout.write(`${shown}\n`)
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
function remark({ title, status, late, seconds }) {
  if (late) return `${title}: not done after ${seconds} s`
  if (status === undefined) return `${title}: did not run`
  return status === 0 ? undefined : `${title}: ended with exit code ${status}`
}

function verdict(ends, say) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const end of ends) {
    const { skips, ...counts } = end.report.end(end.status ?? 1)
    for (const reason of skips) process.stdout.write(`skipped: ${reason}\n`)
    for (const key of Object.keys(total)) total[key] += counts[key]
  }
  for (const line of ends.map(remark)) if (line) say(line)
  return total
}

/** Builds, runs what the filters select in one start of the machine, and returns the exit code. */
export async function test(filters, { say, inMachine }) {
  await setUp()
  const selected = (name) => filters.length === 0 || filters.some((filter) => name.includes(filter))
  const programs = (await rustTests()).filter(({ name }) => selected(name))
  const specs = specFiles().filter(selected)
  if (programs.length + specs.length === 0)
    throw new Failure(`no test matches ${filters.join(' ')}`)
  const steps = [...programs.map(rustStep), ...(specs.length > 0 ? [avaStep(specs)] : [])]
  const output = reader(steps)
  const files = programs.map(({ path }) => path)
  const handlers = { onOut: output.take, onErr: output.take }
  const { steps: ends, trouble } = await inMachine(
    { steps, programs: files, together: true },
    handlers,
  )
  output.end()
  if (trouble) say(trouble)
  const counts = verdict(ends, say)
  if (counts.passed + counts.failed === 0) say('no test ran')
  process.stdout.write(`${sumLine(counts)}\n`)
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1
}
