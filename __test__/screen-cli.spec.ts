// Screens on the command line and in definitions.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { type MachineDefinition, VirtualMachine, fromDefinition } from '../src/index.ts'
import { vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, vmError } from './helpers/machine.ts'
import { decodePng } from './helpers/png.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-screen-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const image = join(folder, 'boot.bin')
writeFileSync(
  image,
  code(`
    b8 00 b8             ; mov $0xb800,%ax
    8e c0                ; mov %ax,%es
    26 c7 06 00 00 48 1f ; movw $0x1f48,%es:0
    b0 00 e6 f4          ; mov $0,%al; out %al,$0xf4
  `),
)
const run = ['run', image, '--mode', 'real', '--load', '0x7c00', '--port', '0xf4=stop']

kvmTest('a screenshot is what shows at the end', async (t) => {
  const file = join(folder, 'text.png')
  const shot = ['--pc', '--screen', 'text', '--screenshot', file, '--json']
  const [exit, document] = await vmexitJson([...run, ...shot])
  t.is(exit, 0)
  t.is((document['screen'] as string[])[0], 'H'.padEnd(80))
  const { width, height, rgb } = decodePng(readFileSync(file))
  t.deepEqual([width, height, ...rgb.subarray(0, 3)], [640, 400, 0, 0, 0xaa])

  const pixels = join(folder, 'pixels.png')
  const other = await vmexit([...run, '--pc', '--screen', '64x70', '--screenshot', pixels])
  t.deepEqual([other.code, other.stderr], [0, ''])
  t.like(decodePng(readFileSync(pixels)), { width: 64, height: 70 })
})

kvmTest('a screen that cannot be is an error in the words of the command line', async (t) => {
  const cases = [
    [['--pc', '--screen', 'txt'], /--screen must be text or a size such as 1024x768, got 'txt'/],
    [['--pc', '--screen', '9x9'], /screen\.width must be 64 to 4096, got 9/],
    [['--screen', 'text'], /--screen needs pc: true/],
    [['--pc', '--screenshot', 'none.png'], /--screenshot needs --screen/],
    [['--pc', '--screen', 'text', '--screenshot', folder], /cannot write the screenshot: /],
  ] as const
  for (const [args, message] of cases) {
    const ran = await vmexit([...run, ...args])
    t.is(ran.code, 2, ran.stderr)
    t.regex(ran.stderr, message)
  }
})

kvmTest('a definition has a screen', async (t) => {
  const definition = (screen: unknown) =>
    ({
      mode: 'real',
      pc: true,
      memoryBytes: '0x100000',
      screen,
      payload: { file: image },
    }) as MachineDefinition
  for (const [screen, kind] of [
    ['text', { kind: 'text', width: 640 }],
    [
      { width: 100, height: 80 },
      { kind: 'pixels', width: 100, height: 80 },
    ],
  ] as const) {
    using vm = new VirtualMachine(await fromDefinition(definition(screen)))
    t.like(vm.screen, kind)
  }
  const wrong = [
    ['texts', /screen must be 'text'|screen must be "text"/],
    [{ width: 100 }, /screen\.height must be/],
    [{ width: 100, height: 80, depth: 8 }, /screen\.depth is no known key/],
    [7, /screen must be/],
  ] as const
  for (const [screen, message] of wrong)
    await t.throwsAsync(fromDefinition(definition(screen)), vmError('ERR_INVALID_OPTION', message))
})
