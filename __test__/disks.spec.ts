// Disks: what the guest reads and writes, and what answers it here.
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { type Disk, type DiskDevice, Snapshot, VirtualMachine } from '../src/index.ts'
import { serialTest as test } from './fixtures/serial.ts'
import { vmError } from './helpers/machine.ts'
import { type Asked, DrivenDisk, driven } from './helpers/virtio.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-disks-'))
let files = 0

/** A file of sectors, each filled with its number. */
function image(sectors: number): string {
  const path = join(folder, `${files++}.img`)
  writeFileSync(path, sectorsOf(sectors))
  return path
}

function sectorsOf(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.alloc(512, index)))
}

/** A disk in memory. */
function inMemory(bytes: Buffer, more: Partial<DiskDevice> = {}): DiskDevice {
  return {
    bytes: bytes.length,
    read: (offset, into) => void bytes.copy(into, 0, offset),
    write: (offset, data) => void bytes.set(data, offset),
    ...more,
  }
}

function machine(...disks: Disk[]): VirtualMachine {
  return new VirtualMachine({ ...driven, disks })
}

const read = (sector: number, bytes = 512): Asked => ({ kind: 'read', sector, bytes })
const write = (sector: number, bytes: Uint8Array): Asked => ({ kind: 'write', sector, bytes })
const flush: Asked = { kind: 'flush' }

test('a guest reads, writes and flushes a device, all requests of a batch at once', async (t) => {
  const bytes = sectorsOf(64)
  const calls: string[] = []
  const device: DiskDevice = {
    bytes: bytes.length,
    async read(offset, into) {
      calls.push(`read ${offset} ${into.length}`)
      await sleep(1)
      bytes.copy(into, 0, offset)
    },
    write(offset, data) {
      calls.push(`write ${offset} ${data.length}`)
      bytes.set(data, offset)
    },
    flush: () => void calls.push('flush'),
  }
  using vm = machine({ device })
  const disk = new DrivenDisk(vm)
  const told = await disk.ask(read(3, 1024), read(9), write(62, Buffer.alloc(1024, 0xab)), flush)
  t.deepEqual(
    told.map(({ status }) => status),
    [0, 0, 0, 0],
  )
  t.deepEqual(Buffer.from(told[0]!.bytes), sectorsOf(5).subarray(3 * 512))
  t.deepEqual(Buffer.from(told[1]!.bytes), Buffer.alloc(512, 9))
  t.deepEqual(bytes.subarray(62 * 512), Buffer.alloc(1024, 0xab))
  t.deepEqual(calls, ['read 1536 1024', 'read 4608 512', 'write 31744 1024', 'flush'])
  t.deepEqual(
    (await disk.ask(read(64), read(63, 1024))).map(({ status }) => status),
    [1, 1],
  )
})

const failures: Record<string, DiskDevice['read']> = {
  throws: () => {
    throw new Error('no')
  },
  rejects: () => Promise.reject(new Error('no')),
  'answers a number that is too small': () => 511,
  'answers a number that is too large': async () => 513,
  'answers like a FileHandle at the end of its file': async () => ({ bytesRead: 0 }),
  'answers bytes that are too few': () => new Uint8Array(511),
  'answers bytes that are too many': async () => new Uint8Array(1024),
  'gives its memory away': (_, into) =>
    void structuredClone(into, { transfer: [into.buffer as ArrayBuffer] }),
  'answers a thenable that throws': () => ({
    // oxlint-disable-next-line unicorn/no-thenable
    then() {
      throw new Error('no')
    },
  }),
}

for (const [name, fails] of Object.entries(failures)) {
  test(`a device that ${name} is an I/O error in the guest, and nothing else`, async (t) => {
    let mayRead = false
    const device: DiskDevice = {
      bytes: 4096,
      read: (offset, into) => (mayRead ? undefined : fails(offset, into)),
    }
    using vm = machine({ device })
    const disk = new DrivenDisk(vm, { flushes: false })
    t.is((await disk.ask(read(0)))[0]?.status, 1)
    mayRead = true
    t.is((await disk.ask(read(0)))[0]?.status, 0)
    t.is((await disk.ask(write(0, Buffer.alloc(512))))[0]?.status, 1, 'it has no write')
  })
}

test('a promise that never settles leaves one request open, and ends nothing', async (t) => {
  let release: () => void = () => undefined
  const never = new Promise<void>((resolve) => (release = resolve))
  using vm = machine({ device: { bytes: 4096, read: (offset) => (offset === 0 ? never : 512) } })
  const disk = new DrivenDisk(vm, { flushes: false })
  const places = disk.prepare([read(0), read(1)], 1)
  await vm.run()
  t.deepEqual(
    disk.told([read(0), read(1)], places).map(({ status }) => status),
    [0xee, 0],
  )
  // The guest waits for what never comes.
  disk.waitFor(0xffff)
  const run = vm.run()
  await vm.pause()
  t.true(vm.paused)
  vm.resume()
  vm.stop()
  t.is((await run).reason, 'stopped')
  using base = vm.snapshot()
  t.truthy(base)
  vm.close()
  release()
  await sleep(1)
  t.true(vm.closed)
})

test('an answer after close() or a restore goes nowhere; a restore asks again', async (t) => {
  const settle: ((value: unknown) => void)[] = []
  const device = { bytes: 4096, read: () => new Promise((resolve) => settle.push(resolve)) }
  using vm = machine({ device })
  const disk = new DrivenDisk(vm, { flushes: false })
  const requests = [read(0)]
  const places = disk.prepare(requests, 0)
  await vm.run()
  disk.waitFor(1)
  while (settle.length === 0) await vm.run({ timeoutMs: 20 })
  using base = vm.snapshot()
  vm.restore(base)
  settle[0]!(Buffer.alloc(512, 1))
  await sleep(5)
  t.is(disk.told(requests, places)[0]!.status, 0xee)
  // The guest waits for the used index in a run that the snapshot's request ends.
  disk.waitFor(1)
  const run = vm.run()
  while (settle.length < 2) await sleep(1)
  settle[1]!(Buffer.alloc(512, 2))
  await run
  const [told] = disk.told(requests, places)
  t.deepEqual([told?.status, told?.bytes[0]], [0, 2])
  settle[0]!(1)
})

test('8 MiB, byte for byte, through a FileHandle that fails one request of a thousand', async (t) => {
  const bytes = 8 << 20
  const path = join(folder, 'random.img')
  const content = randomFillSync(Buffer.alloc(bytes))
  writeFileSync(path, Buffer.alloc(bytes))
  await using handle = await open(path, 'r+')
  let requests = 0
  const fails = () => ++requests % 1000 === 0
  const device: DiskDevice = {
    bytes,
    read: (offset, into) =>
      fails() ? Promise.reject(new Error('bad sector')) : handle.read(into, 0, into.length, offset),
    write: (offset, data) =>
      fails()
        ? Promise.reject(new Error('bad sector'))
        : handle.write(data, 0, data.length, offset),
    flush: () => handle.datasync(),
  }
  using vm = machine({ device })
  const disk = new DrivenDisk(vm)
  let errors = 0
  /** Asks again what has failed, as a driver does. */
  const all = async (asked: readonly Asked[]): Promise<void> => {
    for (let rest = asked; rest.length > 0;) {
      const now = rest.slice(0, 64)
      const told = await disk.ask(...now)
      const failed = now.filter((_, index) => told[index]!.status === 1)
      for (const [index, { kind, sector, bytes: length }] of now.entries()) {
        if (kind !== 'read' || told[index]!.status !== 0) continue
        const at = sector! * 512
        if (!content.subarray(at, at + (length as number)).equals(told[index]!.bytes))
          t.fail(`sector ${sector}`)
      }
      errors += failed.length
      rest = [...failed, ...rest.slice(64)]
    }
  }
  const places = Array.from({ length: bytes / 8192 }, (_, index) => index * 16)
  await all(places.map((at) => write(at, content.subarray(at * 512, at * 512 + 8192))))
  await all([flush])
  t.true(readFileSync(path).equals(content))
  await all(places.map((at) => read(at, 8192)))
  t.is(errors, 2)
})

test('runSync() of a machine with a device is an error that names it', (t) => {
  using vm = machine({ device: inMemory(sectorsOf(1)) })
  t.throws(() => vm.runSync(), vmError('ERR_ASYNC_HANDLER', /^disks\[0\]\.device .*use run\(\)/))
})

test('runSync() of a machine with files is none', (t) => {
  using vm = machine({ file: image(8) })
  const disk = new DrivenDisk(vm)
  const places = disk.prepare([read(5)])
  t.is(vm.runSync().reason, 'exit-port')
  t.is(disk.told([read(5)], places)[0]?.bytes[511], 5)
})

test('a file is locked while it may be written, and is there again after close()', (t) => {
  const file = image(8)
  for (let round = 0; round < 5; round++) {
    const vm = machine({ file })
    t.throws(() => machine({ file }), vmError('ERR_INVALID_OPTION', /is in use/))
    t.throws(() => machine({ file, volatile: true }), vmError('ERR_INVALID_OPTION', /is in use/))
    vm.close()
  }
  using one = machine({ file, volatile: true })
  using two = machine({ file, readOnly: true })
  t.false(one.closed || two.closed)
})

test('disks that cannot be are refused with option, value and remedy', (t) => {
  const device = inMemory(sectorsOf(1))
  const odd = image(2)
  truncateSync(odd, 1000)
  const cases: [unknown, RegExp][] = [
    [{}, /disks\[0\] must be given exactly one of file and device, got .*neither/],
    [{ file: odd, device }, /exactly one of file and device, got .*both/],
    [{ device, readOnly: true }, /made of device, got .*readOnly/],
    [{ device: { ...device, bytes: 1000 } }, /device\.bytes must be a multiple of 512 above 0/],
    [{ device: { ...device, bytes: 0 } }, /device\.bytes must be a multiple of 512/],
    [{ device: { ...device, bytes: 512n } }, /device\.bytes must be a multiple of 512/],
    [{ device: { bytes: 512 } }, /device\.read must be a function, got undefined/],
    [{ device: { ...device, write: 1 } }, /device\.write must be a function, got 1/],
    [
      { device: { ...device, write: undefined, readOnly: false } },
      /device\.write must be a function unless readOnly/,
    ],
    [{ file: '' }, /disks\[0\]\.file must be a path or a file: URL/],
    [{ file: 7 }, /disks\[0\]\.file must be a path/],
    [{ file: odd, volatile: 1 }, /volatile must be true or false/],
    [{ file: join(folder, 'none') }, /cannot be used: No such file.*truncate/],
    [{ file: folder }, /must be a file or a block device, got a directory/],
    [{ file: '/dev/null' }, /must be a file or a block device, got another kind/],
    [{ file: odd }, /must be a multiple of 512 above 0, got 1000; `truncate/],
  ]
  for (const [disk, message] of cases)
    t.throws(() => machine(disk as Disk), vmError('ERR_INVALID_OPTION', message), String(message))
  t.throws(
    () => new VirtualMachine({ ...driven, pc: false, disks: [{ device }] }),
    vmError('ERR_INVALID_OPTION', /disks needs pc: true/),
  )
  t.throws(
    () => machine(...Array.from({ length: 7 }, () => ({ device }))),
    vmError('ERR_LIMIT', /disks/),
  )
})

test('what is volatile is in a snapshot, in its forks and in its file', async (t) => {
  const file = image(64)
  using vm = machine({ file, volatile: true })
  await new DrivenDisk(vm).ask(write(7, Buffer.alloc(512, 0xaa)))
  using base = vm.snapshot()
  t.deepEqual(base.stateless, [])
  await new DrivenDisk(vm, { asked: 1 }).ask(write(7, Buffer.alloc(512, 0xbb)))
  await base.save(join(folder, 'volatile.snapshot'))
  using loaded = await Snapshot.load(join(folder, 'volatile.snapshot'))
  vm.restore(base)
  using fork = vm.fork()
  using further = new VirtualMachine({ snapshot: loaded })
  for (const each of [vm, fork, further]) {
    const [told] = await new DrivenDisk(each, { asked: 1 }).ask(read(7, 1024))
    t.deepEqual([told?.bytes[0], told?.bytes[512]], [0xaa, 8])
  }
  t.true(readFileSync(file).equals(sectorsOf(64)))
})

test('a disk that lasts goes on with one machine only, and says why', async (t) => {
  const device = inMemory(sectorsOf(64))
  const file = image(64)
  const vm = machine({ file }, { device })
  await new DrivenDisk(vm).ask(read(0))
  using base = vm.snapshot()
  t.deepEqual(base.stateless, [
    'disks[0] (2.img)'.replace('2', String(files - 1)),
    'disks[1] (device)',
  ])
  const isOpen = vmError(
    'ERR_SNAPSHOT',
    /^disks\[0\] \(\d+\.img\) belongs to a machine that is open/,
  )
  t.throws(() => vm.fork(), isOpen)
  t.throws(
    () => vm.fork({ disks: [{ file: image(64) }] }),
    vmError('ERR_SNAPSHOT', /^disks\[1\] \(device\) belongs to a machine that is open/),
  )
  const copies = [{ file: image(64) }, { device: inMemory(sectorsOf(64)) }]
  using fork = vm.fork({ disks: copies })
  await new DrivenDisk(fork, { asked: 1 }).ask(write(0, Buffer.alloc(512)))
  await new DrivenDisk(vm, { asked: 1 }).ask(read(1))
  vm.restore(base)
  t.throws(
    () => vm.fork({ disks: [...copies, { file }] }),
    vmError('ERR_SNAPSHOT', /disks must be at most 2/),
  )
  t.throws(
    () => vm.fork({ disks: [{ file: image(65) }, undefined] }),
    vmError(
      'ERR_SNAPSHOT',
      /belongs|bytes of disks\[0\] must be 32768 as in the snapshot, got 33280/,
    ),
  )
  vm.close()
  using later = new VirtualMachine({ snapshot: base })
  await new DrivenDisk(later, { asked: 1 }).ask(write(0, Buffer.alloc(512)))
  t.throws(() => later.restore(base), vmError('ERR_SNAPSHOT', /^disks\[0\].*was written to/))
})

test('a snapshot in a file wants its devices back, and files as they were', async (t) => {
  const file = image(64)
  const device = inMemory(sectorsOf(64))
  const vm = machine({ file }, { device })
  await new DrivenDisk(vm).ask(read(0))
  const path = join(folder, 'lasting.snapshot')
  await vm.snapshot().save(path)
  vm.close()
  using loaded = await Snapshot.load(path)
  t.throws(
    () => new VirtualMachine({ snapshot: loaded }),
    vmError('ERR_SNAPSHOT', /^JavaScript answers disks\[1\] \(device\).*give disks one/),
  )
  const further = new VirtualMachine({ snapshot: loaded, disks: [undefined, { device }] })
  const [told] = await new DrivenDisk(further, { asked: 1 }).ask(read(9))
  t.is(told?.bytes[0], 9)
  further.close()
  const again = openSync(file, 'r+')
  await sleep(20)
  writeFileSync(again, 'changed')
  closeSync(again)
  t.throws(
    () => new VirtualMachine({ snapshot: loaded, disks: [undefined, { device }] }),
    vmError('ERR_SNAPSHOT', /^disks\[0\].*was changed after the snapshot/),
  )
})
