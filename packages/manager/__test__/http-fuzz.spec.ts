// Clients of the HTTP API that say anything; a million of them by VMEXIT_SOAK=1.
import test from 'ava'

import { ended } from '../../../__test__/fixtures/child.ts'
import { affordable } from '../../../__test__/helpers/speed.ts'

const isSoak = process.env['VMEXIT_SOAK'] === '1'

test('whatever a client of HTTP says, only its own connection suffers', async (t) => {
  t.timeout(isSoak ? 7_200_000 : 1_500_000)
  const steps = isSoak ? 1_000_000 : affordable(10_000)
  const limits = ['--steps', String(steps), '--seconds', isSoak ? '7000' : '1200']
  const { code, output } = await ended(['scripts/fuzz/main.mjs', 'http', ...limits])
  t.log(output.trimEnd())
  t.is(code, 0)
  t.true(output.includes(`http: ${steps} steps, 0 findings`))
})
