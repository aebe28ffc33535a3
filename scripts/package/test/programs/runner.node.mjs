// A test of a user's, for the runner that Node.js brings.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as vmexit from 'vmexit'
import machines from './runner.cjs'

test('machines run', async () => {
  assert.equal(await machines(vmexit), 'Hello, world!\n hlt 7 timeout ERR_INVALID_OPTION')
})
