// What importing the package costs, and that it opens nothing.
import assert from 'node:assert/strict'
import { give, needsKvm, onEach } from './cases.mjs'

/** Of processors' time. */
const IMPORT_MS = 30
/** The fastest of several counts, as other work on this machine only adds; where there is much of it, of more. */
const [SAMPLES, MOST_SAMPLES] = [5, 60]

const PROGRAM = 'import.mjs'
/** Imports the package and makes a machine: what this opens must be seen. */
const CONTROL = 'machine.mjs'

async function look(user, specifier) {
  give(user, PROGRAM, CONTROL, 'nothing.mjs')
  return JSON.parse(await user.run(['node', PROGRAM, specifier]))
}

async function assertOpensNothing(user) {
  const { before, after } = await look(user, 'vmexit')
  assert.deepEqual(after, before)
}

async function assertSeen(user) {
  needsKvm()
  const { before, after } = await look(user, `./${CONTROL}`)
  assert.ok(after.files.includes('/dev/kvm'), after.files.join(' '))
  assert.ok(after.threads > before.threads, 'threads')
  assert.notEqual(after.signals, before.signals)
}

async function assertFast(user) {
  let ms = Infinity
  for (let i = 0; i < SAMPLES || (ms >= IMPORT_MS && i < MOST_SAMPLES); i += 1) {
    ms = Math.min(ms, (await look(user, 'vmexit')).ms)
  }
  assert.ok(ms < IMPORT_MS, `it took ${ms} ms`)
  return `${ms.toFixed(1)} of ${IMPORT_MS} ms`
}

export const importCases = (context) =>
  onEach(context, () => ({
    'import opens no file, thread or signal handler': assertOpensNothing,
    'a machine opens all of them': assertSeen,
    'import is fast': assertFast,
  }))
