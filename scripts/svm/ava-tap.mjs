// Loaded before ava: without this, its TAP reporter (7.0.0) throws a TypeError at a test that hangs, instead of naming it.
import TapReporter from '../../node_modules/ava/lib/reporters/tap.js'

const { writeTest } = TapReporter.prototype

// The reporter makes these errors itself, and then reads them as those that a worker sends.
TapReporter.prototype.writeTest = function writeTestOfAnyOrigin(event, flags) {
  const { err } = event
  const sent = err instanceof Error ? { name: err.name, originalError: err, stack: err.stack } : err
  return writeTest.call(this, { ...event, err: sent }, flags)
}
