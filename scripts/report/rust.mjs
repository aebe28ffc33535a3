// Reads what `cargo test -- --show-output` prints: counts from each `test result:` line, skips from passing tests that
// printed `skipped: <test name>: <reason>`.

const RESULT = /^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored/
const IGNORED = /^test (.+) \.\.\. ignored(?:, (.*))?$/

export function rustReport() {
  const counts = { passed: 0, failed: 0, skipped: 0, skips: [] }
  // Whether a test program runs; whether the output of its passing tests is shown, and of which; which was skipped.
  let [running, successes, test, skippedTest] = [false, false, '', '']

  function begin(isRunning) {
    // A test program that aborts or is killed leaves no result line.
    if (running) counts.failed += 1
    ;[running, successes, test, skippedTest] = [isRunning, false, '', '']
  }

  function skip(reason) {
    counts.skipped += 1
    counts.skips.push(reason)
  }

  return {
    /** Takes one line; returns it if a reader should see it. */
    line(line) {
      if (/^running \d+ tests?$/.test(line)) begin(true)
      const result = RESULT.exec(line)
      if (result !== null) {
        counts.passed += Number(result[1])
        counts.failed += Number(result[2])
        running = false
      }
      const ignored = IGNORED.exec(line)
      if (ignored !== null) skip(`${ignored[1]}: ${ignored[2] ?? 'marked #[ignore]'}`)
      if (line === 'successes:') successes = true
      if (line === 'failures:' || result !== null) successes = false
      if (!successes) return line
      if (line.startsWith('---- ')) test = line
      // Once per test, however many such lines it prints.
      if (line.startsWith('skipped: ') && skippedTest !== test) {
        skippedTest = test
        counts.passed -= 1
        skip(line.slice('skipped: '.length))
      }
      return undefined
    },
    /** Takes cargo's exit code; returns the counts. */
    end(code) {
      begin(false)
      if (code !== 0 && counts.failed === 0) counts.failed = 1
      return counts
    },
  }
}
