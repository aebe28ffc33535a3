// @ts-check
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeMachine } from './machine.mjs'

/** @param {(text: string) => string} [edit] what the guest's text is made into before */
async function run(edit) {
  const vm = await makeMachine(edit)
  try {
    const { reason, exitCode, outputText } = await vm.run({ timeoutMs: 60_000 })
    return { reason, exitCode, outputText }
  } finally {
    vm.close()
  }
}

test('the device makes capitals in the memory of the guest, and interrupts', async () => {
  const outputText = "A TEXT IN THE GUEST'S MEMORY\n"
  assert.deepEqual(await run(), { reason: 'exit-port', exitCode: 1, outputText })
})

test('a text that is not in memory is an error for the guest, and harms nothing else', async () => {
  const outside = (/** @type {string} */ text) =>
    text.replace('mov ax, offset text\n', 'mov ax, 0xfff8\n')
  assert.equal((await run(outside)).exitCode, 2)
})
