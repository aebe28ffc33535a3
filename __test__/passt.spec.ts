// passt, run beside a machine: its frames, its end, and what becomes of it when this process ends.
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { Worker } from 'node:worker_threads'

import test from 'ava'

import { VirtualMachine, fromDefinition, guests } from '../src/index.ts'
import { Passt } from '../src/machine/network/passt.ts'
import { collectUntil } from './fixtures/census.ts'
import { noPasst } from './fixtures/passt.ts'
import { until } from './fixtures/until.ts'
import { type Ran, vmexit } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-passt-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const options = {
  pc: true,
  mode: 'long',
  memoryBytes: 2 ** 21,
  payload: guests.spin,
  network: [{ passt: true }],
} as const

/** Another program of that name, first on PATH while `use` runs. */
async function withProgram<T>(script: string, use: () => Promise<T> | T): Promise<T> {
  const own = mkdtempSync(join(folder, 'bin-'))
  writeFileSync(join(own, 'passt'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(own, 'passt'), 0o755)
  const { PATH } = process.env
  process.env['PATH'] = `${own}${delimiter}${PATH}`
  try {
    return await use()
  } finally {
    process.env['PATH'] = PATH
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** A broadcast that asks for an address (RFC 2131). */
function discover(): Buffer {
  const frame = Buffer.alloc(14 + 20 + 8 + 300)
  const [ip, udp, bootp] = [14, 34, 42].map((at) => frame.subarray(at)) as [Buffer, Buffer, Buffer]
  frame.write('ffffffffffff0200000000010800', 'hex')
  ip.write('4500', 'hex')
  ip.writeUInt16BE(frame.length - 14, 2)
  ip.write('4011', 8, 'hex')
  ip.write('ffffffff', 16, 'hex')
  ip.writeUInt16BE(checksum(ip.subarray(0, 20)), 10)
  udp.write('00440043', 'hex')
  udp.writeUInt16BE(frame.length - 34, 4)
  bootp.write('010106001234567800000000', 'hex')
  bootp.write('020000000001', 28, 'hex')
  bootp.write('63825363350101ff', 236, 'hex')
  return frame
}

if (noPasst === undefined) {
  test.serial('passt answers a frame, and ends with its stream', async (t) => {
    const passt = new Passt('network[0]')
    const { pid } = passt
    passt.write(discover())
    const frames: Buffer[] = []
    passt.on('data', (bytes: Buffer) => frames.push(bytes))
    t.true(await until(() => frames.length > 0))
    const offer = frames[0]!
    // The address that is offered, from 10.0.2.2.
    t.deepEqual([...offer.subarray(26, 30)], [10, 0, 2, 2])
    t.deepEqual([...offer.subarray(58, 62)], [10, 0, 2, 15])
    passt.destroy()
    t.true(await until(() => !isAlive(pid!)))
  })

  kvmTest(
    'passt ends with its machine',
    async (t) => {
      t.true(await until(() => passts().length === 0))
      const vm = new VirtualMachine(options)
      t.true(await until(() => passts().length === 1))
      const fork = vm.fork()
      t.true(await until(() => passts().length === 2))
      vm.close()
      fork.close()
      t.true(await until(() => passts().length === 0))
    },
    test.serial,
  )

  kvmTest(
    'passt ends with a machine that nobody closes',
    async (t) => {
      t.true(await until(() => passts().length === 0))
      const make = (): void => void new VirtualMachine(options)
      make()
      t.true(await until(() => passts().length === 1))
      t.true(await collectUntil(() => passts().length === 0))
    },
    test.serial,
  )

  kvmTest(
    'passt ends with a worker that is terminated',
    async (t) => {
      const code = `
        const { VirtualMachine, guests } = require('vmexit')
        const vm = new VirtualMachine({
          pc: true, mode: 'long', memoryBytes: 2 ** 21, payload: guests.spin,
          network: [{ passt: true }],
        })
        vm.run()
        require('node:worker_threads').parentPort.postMessage('ready')
        setInterval(() => {}, 1000)
      `
      t.true(await until(() => passts().length === 0))
      const worker = new Worker(code, { eval: true })
      await new Promise((resolve) => worker.once('message', resolve))
      t.true(await until(() => passts().length === 1))
      await worker.terminate()
      t.true(await until(() => passts().length === 0))
    },
    test.serial,
  )

  for (const signal of ['SIGINT', 'SIGKILL', 'SIGTERM'] as const) {
    kvmTest(
      `passt ends with a process that ${signal} ends`,
      async (t) => {
        const code = `
          import { VirtualMachine, guests } from 'vmexit'
          const vm = new VirtualMachine({
            pc: true, mode: 'long', memoryBytes: 2 ** 21, payload: guests.spin,
            network: [{ passt: true }],
          })
          process.stdout.write('ready')
          await vm.run()
        `
        const args = ['--input-type=module', '--eval', code]
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
        await new Promise((resolve) => child.stdout.once('data', resolve))
        t.true(await until(() => passts(child.pid).length === 1))
        const [mine] = passts(child.pid)
        child.kill(signal)
        t.true(await until(() => !isAlive(mine!)))
      },
      test.serial,
    )
  }
} else test.skip(`passt connects a machine with the host: ${noPasst}`, (t) => t.pass())

/** The children of a process that are passt. */
function passts(parent = process.pid): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && new RegExp(`\\(passt(\\.avx2)?\\) [^Z] ${parent} `).test(stat(pid)))
}

/** What the kernel says of a process, if it is there: others come and go. */
function stat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return ''
  }
}

test.serial('without passt the package is named', (t) => {
  const { PATH } = process.env
  process.env['PATH'] = folder
  try {
    t.throws(
      () => new VirtualMachine(options),
      vmError('ERR_INVALID_OPTION', /network\[0\]\.passt needs .* install the package 'passt'/),
    )
  } finally {
    process.env['PATH'] = PATH
  }
})

for (const [what, script, message] of [
  ['fails', 'echo "no interface, no network" >&2; exit 1', /no interface, no network/],
  ['is killed', 'kill -9 $$', /passt has ended: exit SIGKILL/],
  [
    'says what is no frame',
    String.raw`printf '\377\377\377\377' >&3; exec sleep 600`,
    /a frame of 4294967295/,
  ],
  ['ends without a word', 'exit 0', /passt has ended: exit 0/],
] as const) {
  kvmTest(
    `a passt that ${what} is a warning, and takes the link down`,
    async (t) => {
      const warnings: string[] = []
      process.once('warning', (warning) => warnings.push(warning.message))
      using vm = await withProgram(script, () => new VirtualMachine(options))
      const run = vm.run({ timeoutMs: 300_000 })
      t.true(await until(() => warnings.length > 0))
      const [text] = warnings as [string]
      t.regex(text, /network\[0\]: passt has ended/)
      t.regex(text, message)
      vm.stop()
      t.is((await run).reason, 'stopped')
    },
    test.serial,
  )
}

test.serial('--net passt is a network card, and needs passt and a PC', async (t) => {
  const image = join(folder, 'hlt.bin')
  // cli; hlt
  writeFileSync(image, Uint8Array.of(0xfa, 0xf4))
  const run = (...args: string[]): Promise<Ran> =>
    vmexit(['run', image, '--mode', 'real', '--timeout', '100ms', ...args])
  const none = await vmexit(['run', image, '--mode', 'real', '--pc', '--net', 'passt'], {
    env: { PATH: folder },
  })
  t.is(none.code, 2)
  t.regex(none.stderr, /--net needs the program passt, .* install the package 'passt'/)
  const other = await run('--pc', '--net', 'tap')
  t.is(other.code, 2)
  t.regex(other.stderr, /--net must be 'passt'|--net .*passt/)
  await withProgram('exec sleep 600', async () => {
    const bare = await run('--net', 'passt')
    t.is(bare.code, 2)
    t.regex(bare.stderr, /--net needs pc: true|network needs pc: true/)
    t.is((await run('--pc', '--net', 'passt')).code, 124)
  })
})

test('a definition has cards with passt, and ports', async (t) => {
  const definition = {
    mode: 'long',
    payload: { guest: 'hello' },
    network: [{ passt: true }, { passt: true, mac: '02:00:00:00:00:01' }],
    ports: ['agent'],
  } as const
  const { network, ports } = await fromDefinition(definition as never)
  t.deepEqual(network, definition.network as never)
  t.deepEqual(ports, ['agent'])
  for (const [wrong, message] of [
    [{ network: [{}] }, /network\[0\]\.passt must be true/],
    [{ network: [{ passt: false }] }, /network\[0\]\.passt must be true/],
    [{ network: [{ passt: true, mac: 'x' }] }, /network\[0\]\.mac must be six bytes/],
    [{ network: [{ frames: {} }] }, /network\[0\]\.frames is no known key/],
    [{ ports: ['a/b'] }, /ports\[0\] must be up to 63 letters/],
  ] as const) {
    const error = vmError('ERR_INVALID_OPTION', message)
    await t.throwsAsync(fromDefinition({ ...definition, ...wrong } as never), error)
  }
})

test.serial('frames come whole, however the socket cuts them', async (t) => {
  // Two frames, in pieces.
  const script = String.raw`
    printf '\000\000' >&3; sleep 0.1; printf '\000\003ab' >&3; sleep 0.1
    printf 'c\000\000\000\001d' >&3; exec sleep 600
  `
  const passt = await withProgram(script, () => new Passt('network[0]'))
  const frames: string[] = []
  passt.on('data', (bytes) => frames.push(String(bytes)))
  t.true(await until(() => frames.length === 2))
  t.deepEqual(frames, ['abc', 'd'])
  passt.destroy()
})
