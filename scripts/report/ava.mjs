// Reads ava's TAP: counts from the closing `# pass`, `# fail` and `# skip`, or from the tests themselves where ava does not come that
// far; skips from `# SKIP` marks (test.skip) and from tests that pass after `t.log('skipped: <reason>')`.

/** ava, with its reporter mended; options follow. */
export const avaCommand = [
  process.execPath,
  '--import=./scripts/report/ava-tap.mjs',
  'node_modules/ava/entrypoints/cli.mjs',
]

const POINT = /^(ok|not ok) \d+ - (.*?)( # SKIP)?$/
const TOTAL = /^# (tests|pass|skip|fail) (\d+)$/
const PLAN = /^(TAP version \d+|1\.\.\d+|)$/

export function avaReport() {
  const totals = {}
  const seen = { pass: 0, skip: 0, fail: 0 }
  const skips = []
  let loggedSkips = 0
  let passing

  function point([, verdict, title, mark]) {
    passing = undefined
    if (mark === ' # SKIP') {
      seen.skip += 1
      skips.push(title)
      return `- ${title} (skipped)`
    }
    seen[verdict === 'ok' ? 'pass' : 'fail'] += 1
    if (verdict === 'ok') passing = title
    return `${verdict === 'ok' ? '✔' : '✘'} ${title}`
  }

  function comment(line) {
    const reason = /^# {3}skipped: (.*)$/.exec(line)?.[1]
    if (reason !== undefined && passing !== undefined) {
      loggedSkips += 1
      skips.push(`${passing}: ${reason}`)
      passing = undefined
    }
    // A hook's own comment: `# title`, then its log.
    if (/^# \S/.test(line)) passing = undefined
    return line.replace(/^#/, ' ')
  }

  return {
    /** Takes one line; returns what a reader should see of it. */
    line(line) {
      const total = TOTAL.exec(line)
      if (total !== null) {
        totals[total[1]] = Number(total[2])
        return undefined
      }
      if (PLAN.test(line)) return undefined
      const match = POINT.exec(line)
      if (match !== null) return point(match)
      return line.startsWith('#') ? comment(line) : line
    },
    /** Takes ava's exit code; returns the counts. */
    end(code) {
      // Without its totals ava has not come to its end, whatever its code says.
      const ended = totals.fail !== undefined
      const { pass = 0, skip = 0, fail } = ended ? totals : seen
      return {
        passed: pass - loggedSkips,
        failed: fail === 0 && (code !== 0 || !ended) ? 1 : fail,
        skipped: skip + loggedSkips,
        skips,
      }
    },
  }
}
