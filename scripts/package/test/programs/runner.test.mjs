/* global expect, test */
import * as vmexit from 'vmexit'
import machines from './runner.cjs'

test('machines run', async () => {
  expect(await machines(vmexit)).toBe('Hello, world!\n hlt 7 timeout ERR_INVALID_OPTION')
})
