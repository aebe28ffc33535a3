/* global expect, jest, test, vi */
const vmexit = require('vmexit')
const machines = require('./runner.cjs')

test('machines run', async () => {
  const fake = typeof jest === 'undefined' ? vi : jest
  fake.useFakeTimers()
  const told = await machines(vmexit)
  fake.useRealTimers()
  expect(told).toBe('Hello, world!\n hlt 7 timeout ERR_INVALID_OPTION')
})
