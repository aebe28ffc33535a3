// Reads ava's TAP: counts from the closing `# pass`, `# fail` and `# skip`, skips from `# SKIP` marks (test.skip) and from
// tests that pass after `t.log('skipped: <reason>')`.

const POINT = /^(ok|not ok) \d+ - (.*?)( # SKIP)?$/
const TOTAL = /^# (tests|pass|skip|fail) (\d+)$/
const PLAN = /^(TAP version \d+|1\.\.\d+|)$/

export function avaReport() {
  const totals = {}
  const skips = []
  let loggedSkips = 0
  let passing

  function point([, verdict, title, mark]) {
    passing = undefined
    if (mark === ' # SKIP') {
      skips.push(title)
      return `- ${title} (skipped)`
    }
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
      const failed = totals.fail ?? 1
      return {
        passed: (totals.pass ?? 0) - loggedSkips,
        failed: code !== 0 && failed === 0 ? 1 : failed,
        skipped: (totals.skip ?? 0) + loggedSkips,
        skips,
      }
    },
  }
}
