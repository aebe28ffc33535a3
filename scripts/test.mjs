// npm test: set-up, the Rust suite, the TypeScript suite, and one line that adds them up.
//
//   npm test -- --rust [cargo test arguments]    npm test -- [--ts] [ava arguments, such as a spec's path]
import { avaCommand, avaReport } from './report/ava.mjs'
import { rustReport } from './report/rust.mjs'
import { streamLines, sumLine } from './run.mjs'
import { setup } from './setup.mjs'

const cargo = ['cargo', 'test', '--workspace', '--no-fail-fast']

const suites = {
  rust: (args) => ['Rust', rustReport(), [...cargo, ...args, '--', '--show-output']],
  ts: (args) => ['TypeScript', avaReport(), [...avaCommand, ...args]],
}

function chosen([first, ...rest]) {
  if (first === undefined) return [suites.rust([]), suites.ts([])]
  if (first === '--rust') return [suites.rust(rest)]
  return [suites.ts(first === '--ts' ? rest : [first, ...rest])]
}

async function runSuite([title, { line, end }, command]) {
  console.log(`\n== ${title} tests`)
  const code = await streamLines(command, (text) => {
    const shown = line(text)
    if (shown !== undefined) console.log(shown)
  })
  const counts = end(code)
  if (counts.passed + counts.failed + counts.skipped === 0) {
    console.log(`error: the ${title} suite ran no test`)
    counts.failed = 1
  }
  return { title, counts }
}

const total = { passed: 0, failed: 0, skipped: 0 }
const results = []
if (!setup()) total.failed = 1
else for (const suite of chosen(process.argv.slice(2))) results.push(await runSuite(suite))
console.log()
for (const { title, counts } of results) {
  for (const reason of counts.skips) console.log(`skipped: ${reason}`)
  console.log(`${title}: ${sumLine(counts)}`)
  for (const key of Object.keys(total)) total[key] += counts[key]
}
console.log(sumLine(total))
process.exitCode = total.failed === 0 ? 0 : 1
