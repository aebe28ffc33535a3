// @ts-check
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assembleSector, makeMachine } from './machine.mjs'

test('it is a boot sector', async () => {
  const sector = await assembleSector()
  assert.equal(sector.length, 512)
  assert.deepEqual([...sector.subarray(-2)], [0x55, 0xaa])
})

test('it greets, shows what is typed, and turns itself off', async () => {
  const vm = await makeMachine()
  try {
    const run = vm.run({ timeoutMs: 60_000 })
    await vm.screen?.waitFor('Type something')
    await vm.keyboard.type('hello, 42\nnext')
    await vm.screen?.waitFor('next')
    assert.deepEqual(
      vm.screen
        ?.text()
        .map((line) => line.trimEnd())
        .slice(1, 5),
      ['', 'hello, 42', 'next', ''],
    )
    // Not awaited: the guest does not live to read that the key is released.
    vm.keyboard.type('\x1b')
    const { reason } = await run
    assert.equal(reason, 'power-off')
  } finally {
    vm.close()
  }
})
