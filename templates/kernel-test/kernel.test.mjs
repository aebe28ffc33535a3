// @ts-check
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { makeMachine } from './machine.mjs'

/** @type {ReturnType<typeof makeMachine>} a machine for each test, which cannot disturb the next */
let vm
let log = ''
/** @type {ReturnType<typeof vm.run>} */
let run

beforeEach(() => {
  vm = makeMachine()
  log = ''
  vm.serial?.on('data', (bytes) => (log += bytes))
  run = vm.run({ timeoutMs: 60_000 })
  run.catch(() => {})
})

afterEach(() => vm.close())

/** Waits until the kernel has logged a text. */
async function logged(/** @type {string} */ text) {
  for (let turn = 0; !log.includes(text); turn++) {
    assert.ok(turn < 3000, `the kernel did not log ${JSON.stringify(text)}, but:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('it boots: a line on the screen, and one in the log', async () => {
  await vm.screen?.waitFor('The kernel is up.')
  await logged('kernel: ready\n')
})

test('it answers commands', async () => {
  await logged('ready')
  vm.serial?.write('ping\nnonsense\n')
  await logged('pong\nwhat?\n')
})

test('it turns the machine off', async () => {
  vm.serial?.write('off\n')
  const { reason } = await run
  assert.equal(reason, 'power-off')
})

test('a panic is shown, and logged', async () => {
  vm.serial?.write('panic\n')
  await vm.screen?.waitFor(/^KERNEL PANIC\nas you wish$/m)
  await logged('panic: as you wish\n')
})
