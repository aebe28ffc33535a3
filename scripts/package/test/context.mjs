// Each handler runs in the asynchronous context of its own run, and nothing keeps that context: how Node.js does it differs from version to version.
import assert from 'node:assert/strict'
import { give, userOf } from './install.mjs'
import { needsKvm } from './skip.mjs'

const PROGRAM = 'context.mjs'

async function assertOwn(user) {
  needsKvm()
  give(user, PROGRAM)
  const told = JSON.parse(await user.run(['node', '--expose-gc', PROGRAM]))
  const own = { all: true, others: [] }
  const runs = { first: own, second: own, none: own, third: own }
  assert.deepEqual(told, { runs, left: 0, closed: false })
}

export function contextCases(context) {
  return Object.fromEntries(
    context.nodes.map(({ major }) => [
      `Node.js ${major}: handlers see the store of their own run, which is collected after it`,
      () => assertOwn(userOf(context, major)),
    ]),
  )
}
