// Each handler runs in the asynchronous context of its own run, and nothing keeps that context: how Node.js does it differs from version to version.
import assert from 'node:assert/strict'
import { onEach, tell } from './cases.mjs'

async function assertOwn(user) {
  const told = JSON.parse(await tell(user, 'context.mjs', ['node', '--expose-gc']))
  const own = { all: true, others: [] }
  const runs = { first: own, second: own, none: own, third: own }
  assert.deepEqual(told, { runs, left: 0, closed: false })
}

export const contextCases = (context) =>
  onEach(context, () => ({
    'handlers see the store of their own run, which is collected after it': assertOwn,
  }))
