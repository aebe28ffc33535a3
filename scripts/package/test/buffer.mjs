// Guest memory under Node's own threads, and in other threads than its machine's: what differs from version to version.
import assert from 'node:assert/strict'
import { onEach, tell } from './cases.mjs'

/** `ArrayBuffer.prototype.transfer` came with it. */
const FIRST_TO_TRANSFER = 22

/** Of the machine whose buffer leaves, unless all are asked for or this is the newest Node.js: each way takes a process. */
const FEW_STATES = ['open', 'running']

const run = async (user, ...words) =>
  JSON.parse(await tell(user, 'buffer.mjs', ['node', '--expose-gc'], words))

async function assertJobs(user) {
  for (const job of ['randomFill', 'gzip', 'brotliCompress', 'read']) {
    const { outcome, isClean } = await run(user, 'close under a job', job, 'close()')
    assert.deepEqual([outcome, isClean], [true, true], job)
  }
}

async function assertLeaves(user, isWhole) {
  const { ways, states } = await run(user, 'ways')
  for (const way of ways) {
    for (const state of isWhole ? states : FEW_STATES) {
      for (const rest of isWhole ? [[], ['forgets']] : [[]]) {
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
  const newest = context.nodes.at(-1).major
  return onEach(context, ({ major }) => ({
    'close() under crypto, zlib and fs': assertJobs,
    ...(major >= FIRST_TO_TRANSFER && {
      'a worker ends, and its buffer is elsewhere': (user) =>
        assertLeaves(user, context.isWhole || major === newest),
    }),
    'workers that end leave no memory': assertEnds,
  }))
}
