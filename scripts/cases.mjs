// Checks by title, as `npm run check`, `test:package` and `test:svm -- --self` run them.
import { Failure, sumLine } from './run.mjs'

/** A check that cannot run here says why. */
export class Skip extends Error {}

/** Runs one check, says how it ended, and returns what it counts as. One that fails throws; what it returns is a remark. */
async function runCase(title, check) {
  const start = performance.now()
  const time = () => `(${((performance.now() - start) / 1000).toFixed(1)} s)`
  try {
    const remark = await check()
    console.log(`ok     ${title}${remark ? `: ${remark}` : ''} ${time()}`)
    return 'passed'
  } catch (error) {
    const skipped = error instanceof Skip
    console.log(skipped ? `skipped: ${title}: ${error.message}` : `FAILED ${title} ${time()}`)
    if (!skipped) console.log(error instanceof Failure ? error.message : error.stack)
    return skipped ? 'skipped' : 'failed'
  }
}

/** Runs every check, whatever the others say, and closes with their count, and an exit code. */
export async function runCases(cases) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for await (const [title, check] of cases) counts[await runCase(title, check)] += 1
  console.log(sumLine(counts))
  process.exitCode = counts.failed === 0 ? 0 : 1
}
