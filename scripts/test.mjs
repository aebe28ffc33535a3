// npm test: set-up, the Rust suite, the TypeScript suite, and one line that adds them up.
//
//   npm test -- --rust [cargo test arguments]    npm test -- [--ts] [ava arguments, such as a spec's path]
import { avaCommand, avaReport } from './report/ava.mjs'
import { rustReport } from './report/rust.mjs'
import { streamLines, sumLine } from './run.mjs'
import { setup } from './setup.mjs'

const suites = {
  rust: {
    title: 'Rust',
    report: rustReport,
    command: (args) => [
      'cargo',
      'test',
      '--workspace',
      '--no-fail-fast',
      ...args,
      '--',
      '--show-output',
    ],
  },
  ts: {
    title: 'TypeScript',
    report: avaReport,
    command: (args) => [...avaCommand, ...args],
  },
}

function chosen(args) {
  if (args.length === 0)
    return [
      [suites.rust, []],
      [suites.ts, []],
    ]
  const [first, ...rest] = args
  if (first === '--rust') return [[suites.rust, rest]]
  return [[suites.ts, first === '--ts' ? rest : args]]
}

async function runSuite([{ title, report, command }, args]) {
  console.log(`\n== ${title} tests`)
  const { line, end } = report()
  const code = await streamLines(command(args), (text) => {
    const shown = line(text)
    if (shown !== undefined) console.log(shown)
  })
  const counts = end(code)
  if (counts.passed + counts.failed + counts.skipped === 0) {
    console.log(`error: the ${title} suite ran no test`)
    counts.failed = 1
  }
  return { title, ...counts }
}

function summary(results) {
  const total = { passed: 0, failed: 0, skipped: 0 }
  console.log()
  for (const { title, skips, ...counts } of results) {
    for (const reason of skips) console.log(`skipped: ${reason}`)
    console.log(`${title}: ${sumLine(counts)}`)
    for (const key of Object.keys(total)) total[key] += counts[key]
  }
  return total
}

async function main() {
  if (!setup()) return { passed: 0, failed: 1, skipped: 0 }
  const results = []
  for (const suite of chosen(process.argv.slice(2))) results.push(await runSuite(suite))
  return summary(results)
}

const total = await main()
console.log(sumLine(total))
process.exitCode = total.failed === 0 ? 0 : 1
