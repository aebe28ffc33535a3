// Reads what `cargo test -- --show-output` prints: counts from each `test result:` line, skips from passing tests that
// printed `skipped: <test name>: <reason>`.

const RESULT = /^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored/
const IGNORED = /^test (.+) \.\.\. ignored(?:, (.*))?$/

export function rustReport() {
  const counts = { passed: 0, failed: 0, skipped: 0, skips: [] }
  const state = { running: false, successes: false, test: '', skippedTest: undefined }

  function closeProgram() {
    // A test program that aborts or is killed leaves no result line.
    if (state.running) counts.failed += 1
    state.running = false
    state.successes = false
    state.skippedTest = undefined
  }

  function skip(reason) {
    counts.skipped += 1
    counts.skips.push(reason)
  }

  function inSuccesses(line) {
    if (line.startsWith('---- ')) state.test = line
    // Once per test, however many such lines it prints.
    if (line.startsWith('skipped: ') && state.skippedTest !== state.test) {
      state.skippedTest = state.test
      counts.passed -= 1
      skip(line.slice('skipped: '.length))
    }
  }

  return {
    /** Takes one line; returns it if a reader should see it. */
    line(line) {
      if (/^running \d+ tests?$/.test(line)) {
        closeProgram()
        state.running = true
      }
      const result = RESULT.exec(line)
      if (result !== null) {
        counts.passed += Number(result[1])
        counts.failed += Number(result[2])
        state.running = false
      }
      const ignored = IGNORED.exec(line)
      if (ignored !== null) skip(`${ignored[1]}: ${ignored[2] ?? 'marked #[ignore]'}`)
      if (line === 'successes:') state.successes = true
      if (line === 'failures:' || result !== null) state.successes = false
      if (!state.successes) return line
      inSuccesses(line)
      return undefined
    },
    /** Takes cargo's exit code; returns the counts. */
    end(code) {
      closeProgram()
      if (code !== 0 && counts.failed === 0) counts.failed = 1
      return counts
    },
  }
}
