// Reads what ava prints where no terminal is: its tests as they end, and what is wrong beside them. A test that passes after
// `t.log('skipped: <reason>')` counts as skipped.

/** ava; options follow. On Linux's own console it would leave Unicode, and colours can be forced. */
export const avaCommand = [
  ...['env', 'TERM=xterm', 'FORCE_COLOR=0'],
  ...[process.execPath, 'node_modules/ava/entrypoints/cli.mjs'],
]

const PASSED = /^ {2}✔ (?:\[expected fail\] )?(.*?)(?: \([\d.]+m?s\))?$/
const SKIPPED = /^ {2}- \[skip\] (.*)$/
/** A test, a file or a run; `◌` is a test that a time-out left over. */
const FAILED =
  /^ {2}(✘ (?!Timed out while running tests$)|◌ |(Uncaught exception|Unhandled rejection) in )/
const REASON = /^ {4}ℹ skipped: (.*)$/
/** What the details of failures follow, and the closing counts. */
const RULE = '  ─'
const COUNT = /^ {2}(\d+ \S|No tests)/

export function avaReport() {
  const counts = { passed: 0, failed: 0, skipped: 0, skips: [] }
  let [passing, atEnd, ended] = ['', false, false]

  function skip(reason) {
    counts.skipped += 1
    counts.skips.push(reason)
  }

  function judge(line) {
    const reason = REASON.exec(line)?.[1]
    if (reason !== undefined && passing !== '') {
      counts.passed -= 1
      skip(`${passing}: ${reason}`)
      passing = ''
    }
    if (line.startsWith('    ')) return
    passing = PASSED.exec(line)?.[1] ?? ''
    if (passing !== '') counts.passed += 1
    if (FAILED.test(line)) counts.failed += 1
    const skipped = SKIPPED.exec(line)?.[1]
    if (skipped !== undefined) skip(skipped)
  }

  return {
    /** Takes one line; returns what a reader should see of it. */
    line(line) {
      if (line === RULE) atEnd = true
      if (!atEnd) judge(line)
      else if (COUNT.test(line)) ended = true
      return line
    },
    /** Takes ava's exit code; returns the counts. */
    end(code) {
      // Without its own counts ava has not come to its end, whatever its code says.
      if (counts.failed === 0 && (code !== 0 || !ended)) counts.failed = 1
      return counts
    },
  }
}
