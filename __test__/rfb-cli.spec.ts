// `--vnc PATH`: the screen of a run, shown to viewers that type.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { RfbClient, messages } from './fixtures/rfb-client.ts'
import { until } from './fixtures/until.ts'
import { vmexit } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code } from './helpers/machine.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-vnc-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** Ends with the code of the first key. */
const image = join(folder, 'key.bin')
writeFileSync(
  image,
  code(`
    e4 64 ; 1: in $0x64,%al
    a8 01 ; test $1,%al
    74 fa ; jz 1b
    e4 60 ; in $0x60,%al
    e6 f4 ; out %al,$0xf4
  `),
)

const run = (path: string, ...flags: string[]) =>
  vmexit([
    ...['run', image, '--mode', 'real', '--pc', '--port', '0xf4=stop', '--vnc', path],
    ...flags,
  ])

kvmTest('a viewer of `vmexit run --vnc` sees the screen, and its key ends the guest', async (t) => {
  const path = join(folder, 'screen')
  const running = run(path, '--screen', 'text')
  t.true(await until(() => existsSync(path)))
  using client = await RfbClient.open(path)
  client.request()
  t.is((await client.update()).length, 25)
  client.send(messages.key(true, 0x61))
  const { code: exitCode, stderr } = await running
  t.deepEqual([exitCode, stderr], [0x1e, ''])
  t.false(existsSync(path))
})

kvmTest('wrong uses of --vnc are told in the words of the command line', async (t) => {
  const none = await run(join(folder, 'screen'))
  t.deepEqual(
    [none.code, none.stderr.split(';')[0]],
    [2, 'vmexit: --vnc shows a screen: add --screen text, or its size'],
  )
  const taken = await run(image, '--screen', 'text')
  t.deepEqual(
    [taken.code, taken.stderr.split(';')[0]],
    [2, `vmexit: --vnc: ${image} exists and is no socket`],
  )
})
