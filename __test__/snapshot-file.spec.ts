import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { code } from './helpers/machine.ts'
import { vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { Snapshot, VirtualMachine, VmError, guests, type Device } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-snapshot-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const fresh = (): string => join(folder, `${(files += 1)}.snapshot`)

/** in al, 0x60; out 0xe9, al; hlt; jmp to the first. */
const echo = Uint8Array.of(0xe4, 0x60, 0xe6, 0xe9, 0xf4, 0xeb, 0xf9)

class Counter implements Device {
  count = 0
  read(): number {
    return (this.count += 1)
  }
  save(): unknown {
    return { count: this.count, seen: new Map([[1n, new Date(0)]]) }
  }
  restore(state: unknown): void {
    this.count = (state as { count: number }).count
  }
}

const counting = (device: Device): VirtualMachine =>
  new VirtualMachine({
    mode: 'long',
    payload: { image: echo },
    routes: [
      { port: 0x60, device },
      { port: 0xe9, to: 'console' },
    ],
  })

async function refused(t: ExecutionContext, promise: Promise<unknown>): Promise<VmError> {
  const error = (await t.throwsAsync(promise, { instanceOf: VmError }))!
  t.is(error.code, 'ERR_SNAPSHOT', error.message)
  return error
}

kvmTest('a machine of a file goes on, with the state of its devices', async (t) => {
  using vm = counting(new Counter())
  vm.runSync()
  using base = vm.snapshot()
  const path = fresh()
  await base.save(path)
  t.false(readdirSync(folder).some((name) => name.endsWith('.tmp')))
  using loaded = await Snapshot.load(pathToFileURL(path))
  t.deepEqual(loaded.registers, base.registers)
  t.is([...base.diff(loaded)].length, 0)
  const device = new Counter()
  using further = new VirtualMachine({ snapshot: loaded, routes: [{ port: 0x60, device }] })
  t.is(device.count, 1)
  t.deepEqual([...further.runSync().output], [2])
  t.deepEqual([...vm.runSync().output], [2])
  vm.restore(loaded)
  t.deepEqual([...vm.runSync().output], [2])
})

kvmTest(
  'what JavaScript answers is bound by load or by the constructor, else it is named',
  async (t) => {
    using vm = counting(new Counter())
    const path = fresh()
    await vm.snapshot().save(path)
    using bare = await Snapshot.load(path)
    const error = t.throws(() => new VirtualMachine({ snapshot: bare }), { instanceOf: VmError })
    t.is(error.code, 'ERR_SNAPSHOT')
    t.regex(error.message, /port 0x60 \(device\).*routes/)
    const device = new Counter()
    using bound = await Snapshot.load(path, { routes: [{ port: 0x60, device }] })
    using first = new VirtualMachine({ snapshot: bound })
    t.deepEqual([...first.runSync().output], [1])
    // Its device is that machine's now.
    t.throws(() => new VirtualMachine({ snapshot: bound }), { code: 'ERR_SNAPSHOT' })
    using second = new VirtualMachine({
      snapshot: bound,
      routes: [{ port: 0x60, device: new Counter() }],
    })
    t.deepEqual([...second.runSync().output], [1])
    await refused(t, Snapshot.load(path, { routes: [{ port: 0x61, to: 'discard' }] }))
  },
)

kvmTest('a file that is none is an error with the reason', async (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  const path = fresh()
  await vm.snapshot().save(path)
  const sound = readFileSync(path)
  const damaged = (change: (bytes: Buffer) => Uint8Array): string => {
    const other = fresh()
    writeFileSync(other, change(Buffer.from(sound)))
    return other
  }
  const missing = await refused(t, Snapshot.load(join(folder, 'none')))
  t.deepEqual([missing.call, missing.errno], ['open', 2])
  await refused(t, Snapshot.load(folder))
  await refused(t, Snapshot.load('/dev/zero'))
  await refused(t, Snapshot.load(damaged((bytes) => bytes.subarray(0, 5000))))
  const version = await refused(
    t,
    Snapshot.load(damaged((bytes) => (bytes.writeUInt32LE(77, 16), bytes))),
  )
  t.regex(version.message, /version is 77/)
  // A page is looked at only if that is asked for.
  const page = damaged((bytes) => (bytes.writeUInt8(1, bytes.length - 1), bytes))
  using unseen = await Snapshot.load(page)
  t.truthy(unseen.registers)
  t.regex((await refused(t, Snapshot.load(page, { verify: true }))).message, /page/)
})

kvmTest('a state that cannot be written names its device, and leaves no file', async (t) => {
  class Odd extends Counter {
    override save(): unknown {
      return new Blob(['x'])
    }
  }
  using vm = counting(new Odd())
  using base = vm.snapshot()
  const path = fresh()
  t.regex((await refused(t, base.save(path))).message, /port 0x60.*Blob/)
  t.throws(() => readFileSync(path), { code: 'ENOENT' })
})

kvmTest('a file that cannot be written leaves what was there', async (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  using base = vm.snapshot()
  const error = await refused(t, base.save(join(folder, 'no', 'folder')))
  t.deepEqual([error.call, error.errno], ['open', 2])
  await refused(t, base.save('/dev/null'))
  await refused(t, base.save(folder))
  await t.throwsAsync(base.save(''), { code: 'ERR_INVALID_OPTION' })
  await t.throwsAsync(base.save(1 as never), { code: 'ERR_INVALID_OPTION' })
  await t.throwsAsync(Snapshot.load('x\0y'), { code: 'ERR_INVALID_OPTION' })
  await t.throwsAsync(Snapshot.load('x', { verif: true } as never), { code: 'ERR_INVALID_OPTION' })
})

kvmTest('a snapshot that is closed while it is written is written', async (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  const base = vm.snapshot()
  const path = fresh()
  const saved = base.save(path)
  base.close()
  await saved
  using loaded = await Snapshot.load(path, { copy: true, verify: true })
  rmSync(path)
  using further = new VirtualMachine({ snapshot: loaded })
  t.is(further.runSync().reason, 'pio-out')
  await refused(t, base.save(path))
})

kvmTest('a file that is replaced leaves the machines of the first one as they are', async (t) => {
  using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
  const path = fresh()
  using base = vm.snapshot()
  await base.save(path)
  using loaded = await Snapshot.load(path)
  using further = new VirtualMachine({ snapshot: loaded })
  vm.memory.write(0, new Uint8Array(0x1000).fill(0xf4))
  await vm.snapshot().save(path)
  t.is(further.runSync({ onExit: () => undefined }).reason, 'hlt')
  t.is(further.registers().rax, 42n)
})

kvmTest('a disk without room leaves no half file', async (t) => {
  const dir = mkdtempSync(join(folder, 'small-'))
  const script = `
    const { VirtualMachine } = await import(${JSON.stringify(pathToFileURL(resolve('dist/index.js')).href)})
    const vm = new VirtualMachine({ mode: 'long', payload: { image: Uint8Array.of(0xf4) } })
    for (let gpa = 0x1000; gpa < 0x180000; gpa += 0x1000) vm.memory.writeUint8(gpa, 1)
    const error = await vm.snapshot().save('file').then(() => ({}), (error) => error)
    console.log(error.code, error.errno, (await import('node:fs')).readdirSync('.').join())
  `
  const mount =
    'mount -t tmpfs -o size=512k none . && cd "$PWD" && exec "$0" --input-type=module -e "$1"'
  const ran = spawnSync('unshare', ['-m', 'sh', '-c', mount, process.execPath, script], {
    cwd: dir,
  })
  if (/permitted|denied|not found/.test(String(ran.stderr))) {
    t.log(`skipped: no file system can be mounted here: ${ran.stderr}`)
    t.pass()
    return
  }
  t.is(String(ran.stdout).trim(), 'ERR_SNAPSHOT 28')
})

const image = join(folder, 'guest.bin')
writeFileSync(image, code('b0 41 e6 e9 f4 b0 42 e6 e9 b0 07 e6 f4 ; A, hlt, B, exit code 7'))
const ports = ['--port', '0xe9=console', '--port', '0xf4=stop']

kvmTest('vmexit run saves a machine at its end, and goes on from there', async (t) => {
  const path = fresh()
  const first = await vmexit(['run', image, '--mode', 'long', ...ports, '--snapshot-at-exit', path])
  t.deepEqual([first.code, first.stdout.toString(), first.stderr], [0, 'A', ''])
  const second = await vmexit(['run', '--from', path])
  t.deepEqual([second.code, second.stdout.toString(), second.stderr], [7, 'B', ''])
  const [, json] = await vmexitJson(['run', '--from', path, '--json'])
  t.is(json.output, 'B')
  for (const wrong of [[image], ['--memory', '4M'], ['--irqchip']]) {
    t.is((await vmexit(['run', '--from', path, ...wrong])).code, 2, wrong.join(' '))
  }
  const none = await vmexit(['run', '--from', join(folder, 'none')])
  t.is(none.code, 1)
  t.regex(none.stderr, /none.*open/)
})
