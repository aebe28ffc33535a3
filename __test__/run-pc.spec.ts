// `vmexit run` with the parts of a PC, and with an image from stdin.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { echoOne, kernel, powerOff, printOk, resets } from './fixtures/kernels.ts'
import { vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code } from './helpers/machine.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-run-pc-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function image(name: string, listing: string): string {
  const path = join(folder, name)
  writeFileSync(path, code(listing))
  return path
}

kvmTest('--pc --serial: COM1 is stdin and stdout, and power-off is code 0', async (t) => {
  const path = kernel('run-echo', printOk + echoOne + powerOff)
  const ran = await vmexit(['run', path, '--pc', '--serial', '--timeout', '60s'], { input: 'x' })
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [0, 'okx', ''])
  const args = ['run', path, '--pc', '--serial', '--timeout', '60s']
  const [exit, document] = await vmexitJson(args, 'y')
  t.is(exit, 0)
  t.like(document, { reason: 'power-off', output: 'oky', where: null })
})

kvmTest('--pc alone shows what COM1 is sent, and leaves stdin alone', async (t) => {
  const path = kernel('run-print', printOk + powerOff)
  const ran = await vmexit(['run', path, '--pc', '--timeout', '60s'], { input: 'x' })
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [0, 'ok', ''])
  const [, document] = await vmexitJson(['run', path, '--pc', '--timeout', '60s'])
  t.is(document.output, 'ok')
})

kvmTest('--serial without the rest of a PC, in real mode', async (t) => {
  // mov $0x3fd,%dx; 1: in (%dx),%al; test $1,%al; jz 1b; mov $0x3f8,%dx; in (%dx),%al; out
  // %al,(%dx); hlt
  const path = image('serial.bin', 'ba fd 03 ec a8 01 74 fb ba f8 03 ec ee f4')
  const args = ['run', path, '--mode', 'real', '--serial', '--timeout', '60s']
  const ran = await vmexit(args, { input: 'z' })
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [0, 'z', ''])
})

for (const [name, listing] of Object.entries(resets)) {
  kvmTest(`run: a reset by ${name} is code 4 with a line on stderr`, async (t) => {
    const args = ['run', kernel('run-reset', printOk + listing), '--pc', '--timeout', '60s']
    const ran = await vmexit(args)
    t.deepEqual([ran.code, ran.stdout.toString()], [4, 'ok'])
    t.is(ran.stderr, 'vmexit: the guest reset the machine\n')
    const [exit, document] = await vmexitJson(args)
    t.deepEqual([exit, document.reason], [4, 'reset'])
  })
}

kvmTest('--cpus: every vCPU runs, and the one that ends the run is named', async (t) => {
  // cmp $2,%di; je 1f; jmp .; 1: mov %edi,%eax; out %al,$0xf4
  const path = image('cpus.bin', '66 83 ff 02 74 02 eb fe 89 f8 e6 f4')
  const args = ['run', path, '--mode', 'long', '--cpus', '3', '--port', '0xf4=stop']
  const [exit, document] = await vmexitJson([...args, '--timeout', '60s'])
  t.is(exit, 2)
  t.like(document, { reason: 'exit-port', vcpu: 2, exitCode: 2 })
  t.is(document.registers.rdi, '2')
})

kvmTest('--irqchip: a halted vCPU waits for an interrupt', async (t) => {
  const path = image('halt.bin', 'f4')
  t.is((await vmexit(['run', path, '--mode', 'real'])).code, 0)
  const waiting = await vmexit(['run', path, '--mode', 'real', '--irqchip', '--timeout', '2s'])
  t.is(waiting.code, 124)
  t.regex(waiting.stderr, /^vmexit: the time is up; vCPU 0 is at RIP 0x1 \(real mode/)
})

kvmTest('run - takes the image from stdin', async (t) => {
  const input = code('b0 21 e6 e9 b0 07 e6 f4 ; out $0xe9; mov $7,%al; out $0xf4')
  const ports = ['--port', '0xe9=console', '--port', '0xf4=stop']
  const ran = await vmexit(['run', '-', '--mode', 'long', ...ports], { input })
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [7, '!', ''])
  const elf = readFileSync(kernel('stdin', 'b0 05 e6 f4 ; mov $5,%al; out $0xf4'))
  const args = ['run', '-', '--memory', '4M', '--port', '0xf4=stop']
  t.is((await vmexit(args, { input: elf })).code, 5)
  const none = await vmexit(['run', '-', '--mode', 'long'])
  t.deepEqual([none.code, none.stderr.startsWith('vmexit: IMAGE must not be empty')], [2, true])
})
