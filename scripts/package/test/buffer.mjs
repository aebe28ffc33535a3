// Guest memory under Node's own threads, and in other threads than its machine's: what differs from version to version.
import assert from 'node:assert/strict'
import { give, userOf } from './install.mjs'
import { Skip, needsKvm } from './skip.mjs'

const PROGRAM = 'buffer.mjs'

/** `ArrayBuffer.prototype.transfer` came with it. */
const FIRST_TO_TRANSFER = 22

async function run(user, ...words) {
  needsKvm()
  give(user, PROGRAM)
  return JSON.parse(await user.run(['node', '--expose-gc', PROGRAM, ...words]))
}

async function assertJobs(user) {
  for (const job of ['randomFill', 'gzip', 'brotliCompress', 'read']) {
    const { outcome, isClean } = await run(user, 'close under a job', job, 'close()')
    assert.deepEqual([outcome, isClean], [true, true], job)
  }
}

async function assertLeaves(user, major) {
  if (major < FIRST_TO_TRANSFER) throw new Skip('it cannot transfer a buffer')
  const { ways, states } = await run(user, 'ways')
  for (const way of ways) {
    for (const state of states) {
      for (const rest of [[], ['forgets']]) {
        const { failures, reason } = await run(user, 'leave a worker', way, state, ...rest)
        assert.deepEqual([failures, reason], [[], 'timeout'], [way, state, ...rest].join(', '))
      }
    }
  }
  assert.deepEqual(await run(user, 'enter a worker'), { left: 0 })
}

async function assertEnds(user) {
  assert.deepEqual(await run(user, 'workers that end'), { left: 0 })
}

export function bufferCases(context) {
  const cases = {}
  for (const { major } of context.nodes) {
    const on = `Node.js ${major}`
    const user = () => userOf(context, major)
    cases[`${on}: close() under crypto, zlib and fs`] = () => assertJobs(user())
    cases[`${on}: a worker ends, and its buffer is elsewhere`] = () => assertLeaves(user(), major)
    cases[`${on}: workers that end leave no memory`] = () => assertEnds(user())
  }
  return cases
}
