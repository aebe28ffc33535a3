// Loaded before ava, for tests that hang: its TAP reporter (7.0.0) throws a TypeError instead of naming them.
import TapReporter from '../../node_modules/ava/lib/reporters/tap.js'

const EXIT_MS = 20_000

const { writeTest, writeTimeout } = TapReporter.prototype

// The reporter makes these errors itself, and then reads them as those that a worker sends.
TapReporter.prototype.writeTest = function writeTestOfAnyOrigin(event, flags) {
  const { err } = event
  const sent = err instanceof Error ? { name: err.name, originalError: err, stack: err.stack } : err
  return writeTest.call(this, { ...event, err: sent }, flags)
}

// ava then waits for its workers, which need not end: one that spins never sees the SIGTERM.
TapReporter.prototype.writeTimeout = function writeTimeoutAndEnd(event) {
  const giveUp = () => {
    this.endRun()
    process.exit(1)
  }
  setTimeout(giveUp, EXIT_MS).unref()
  return writeTimeout.call(this, event)
}
