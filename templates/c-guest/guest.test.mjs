// @ts-check
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './machine.mjs'

test('the guest finds prime numbers', async () => {
  const { reason, exitCode, outputText } = await run(30)
  assert.equal(outputText, '2 3 5 7 11 13 17 19 23 29 \n')
  assert.deepEqual([reason, exitCode], ['exit-port', 0])
})

test('a limit that is too large is an error of the guest', async () => {
  const { exitCode, outputText } = await run(1_000_001)
  assert.deepEqual([exitCode, outputText], [1, 'too large\n'])
})
