// Network cards whose frames a stream carries: the guest is a driver of a few instructions.
import { execFile } from 'node:child_process'
import { Duplex, duplexPair } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

import test from 'ava'

import { Snapshot, VirtualMachine, guests } from '../src/index.ts'
import { echo, flood, frame, netMachine, wait } from './fixtures/virtio.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

const cable = (): Duplex => new Duplex({ objectMode: true })

/** Once its driver is there. */
async function ready(vm: VirtualMachine, write: () => void): Promise<void> {
  // A frame before that is dropped.
  await until(() => {
    write()
    return vm.counters().network[0]!.received > 0
  })
}

/** Frames that come out of a stream. */
function heard(stream: Duplex): Uint8Array[] {
  const frames: Uint8Array[] = []
  stream.on('data', (bytes: Uint8Array) => frames.push(bytes))
  return frames
}

for (const [kind, make] of [
  ['a stream without an implementation', () => Array.from({ length: 2 }, cable).fill(cable())],
  ['one end of a pair', () => duplexPair({ objectMode: true })],
] as const) {
  kvmTest(`frames of every length go in and out through ${kind}`, async (t) => {
    const [ours, theirs] = make() as [Duplex, Duplex]
    using vm = netMachine(echo, {}, { frames: theirs })
    const run = vm.run({ timeoutMs: 300_000 })
    const frames = heard(ours)
    await ready(vm, () => ours.write(frame(61)))
    const others = (): Uint8Array[] => frames.filter(({ length }) => length !== 61)
    const sent = [14, 60, 1000, 1514, 1518].map((length, index) => frame(length, index))
    for (const each of sent) ours.write(each)
    await until(() => others().length >= sent.length)
    t.deepEqual(
      others().map((each) => Buffer.from(each)),
      sent.map((each) => Buffer.from(each)),
    )
    vm.stop()
    t.is((await run).reason, 'stopped')
  })
}

kvmTest('a.pipe(b).pipe(a) joins two machines', async (t) => {
  const [a, b] = [cable(), cable()]
  using one = netMachine(wait, { first: frame(64, 9) }, { frames: a })
  using two = netMachine(echo, {}, { frames: b })
  a.pipe(b).pipe(a)
  const answering = two.run({ timeoutMs: 300_000 })
  // Its frame is sent once, so the other one's driver is there before.
  await until(() => {
    b.write(frame(60))
    return two.counters().network[0]!.received > 0
  })
  t.is((await one.run({ timeoutMs: 300_000 })).reason, 'exit-port')
  t.is(one.counters().network[0]!.sent, 1)
  two.stop()
  t.is((await answering).reason, 'stopped')
})

kvmTest('what nobody reads makes the guest wait, and goes on when it is read', async (t) => {
  const a = cable()
  using vm = netMachine(flood, { first: frame(64) }, { frames: a })
  const run = vm.run({ timeoutMs: 300_000 })
  const sent = (): number => vm.counters().network[0]!.sent
  let before = -1
  const isStill = (): boolean => {
    const was = before
    before = sent()
    return was === before && was > 256
  }
  t.true(await until(isStill, undefined, () => sleep(200)))
  // 256 wait on either side of the seam, and few in the stream.
  t.true(sent() <= 2 * 256 + a.readableHighWaterMark, `${sent()}`)
  a.resume()
  t.true(await until(() => sent() > 1000))
  vm.stop()
  await run
})

kvmTest('a flood for a guest that has no room makes the writer wait', async (t) => {
  const a = cable()
  using vm = netMachine(echo, { receives: false }, { frames: a })
  const run = vm.run({ timeoutMs: 300_000 })
  let taken = 0
  // Those before the driver are dropped.
  await until(() => {
    a.write(frame(60), () => taken++)
    return a.writableLength > 0
  })
  for (let count = 0; count < 2000; count++) a.write(frame(60), () => taken++)
  t.true(await until(() => taken === vm.counters().network[0]!.dropped + 256), `${taken}`)
  await sleep(200)
  t.is(taken, vm.counters().network[0]!.dropped + 256)
  t.true(a.writableNeedDrain)
  vm.close()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  await until(() => a.writableFinished)
})

kvmTest('frames that are too short or too long are dropped and counted', async (t) => {
  const a = cable()
  using vm = netMachine(echo, {}, { frames: a })
  const run = vm.run({ timeoutMs: 300_000 })
  const frames = heard(a)
  await ready(vm, () => a.write(frame(60)))
  const { dropped } = vm.counters().network[0]!
  for (const length of [0, 13, 1519, 1 << 20]) a.write(frame(length))
  a.write(frame(99))
  await until(() => frames.at(-1)?.length === 99)
  t.is(vm.counters().network[0]!.dropped, dropped + 4)
  vm.stop()
  await run
})

for (const [what, end, expected] of [
  ['a chunk that is no frame', (a: Duplex) => a.write('text'), /a frame must be a Uint8Array/],
  ['an error', (a: Duplex) => a.destroy(new Error('cut')), /cut/],
  ['destroy()', (a: Duplex) => a.destroy(), undefined],
  ['end()', (a: Duplex) => a.end(), undefined],
] as const) {
  kvmTest(`${what} takes the link down, and the machine goes on`, async (t) => {
    const a = cable()
    using vm = netMachine(flood, { first: frame(64) }, { frames: a })
    let error: Error | undefined
    a.on('error', (thrown) => (error = thrown)).resume()
    const run = vm.run({ timeoutMs: 300_000 })
    await until(() => vm.counters().network[0]!.sent > 0)
    end(a)
    const { dropped } = vm.counters().network[0]!
    await until(() => vm.counters().network[0]!.dropped > dropped + 100)
    vm.stop()
    t.is((await run).reason, 'stopped')
    if (expected) t.regex(error!.message, expected)
    else t.is(error, undefined)
  })
}

kvmTest('what a listener throws is uncaught, and the machine goes on', async (t) => {
  const code = `
    import { Duplex } from 'node:stream'
    import { flood, frame, netMachine } from './__test__/fixtures/virtio.ts'
    const a = new Duplex({ objectMode: true })
    const vm = netMachine(flood, { first: frame(64) }, { frames: a })
    let count = 0
    process.on('uncaughtException', ({ message }) => {
      if (count++ < 2) console.log(message)
      else vm.stop()
    })
    a.on('data', () => { throw new Error('mine') })
    console.log((await vm.run({ timeoutMs: 300_000 })).reason)
    vm.close()
  `
  const args = ['--import', '@oxc-node/core/register', '--input-type=module', '--eval', code]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  t.is(stdout, 'mine\nmine\nstopped\n')
})

kvmTest('a listener of frames may pause its machine, and close it', async (t) => {
  const a = cable()
  const vm = netMachine(flood, { first: frame(64) }, { frames: a })
  const run = vm.run({ timeoutMs: 300_000 })
  let count = 0
  let paused: Promise<void> | undefined
  a.on('data', () => {
    count++
    if (count === 10) paused = vm.pause()
    // More than wait on either side of the seam, and are heard although it pauses.
    if (count === 1000) vm.close()
  })
  t.true(await until(() => paused !== undefined))
  await paused
  t.true(vm.paused)
  await sleep(50)
  const before = vm.counters().network[0]!.sent
  await sleep(50)
  t.is(vm.counters().network[0]!.sent, before)
  vm.resume()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  t.is(count, 1000)
  t.true(vm.counters().network[0]!.sent >= 1000)
})

kvmTest('a stream ends with its machine', async (t) => {
  const [ours, theirs] = duplexPair({ objectMode: true })
  const a = cable()
  const both = [{ frames: theirs }, { frames: a }]
  const vm = netMachine(echo, {}, ...both)
  const ended = [ours, a].map((each) => new Promise((done) => each.resume().once('end', done)))
  vm.close()
  await Promise.all(ended)
  t.true(theirs.writableEnded && a.writableEnded)
  t.deepEqual(vm.counters().network.length, 2)
})

kvmTest('a machine with a network card needs run()', (t) => {
  using vm = netMachine(echo, {}, { frames: cable() })
  t.throws(() => vm.runSync(), vmError('ERR_ASYNC_HANDLER', /network\[0\] .* use run\(\)/))
})

kvmTest('a fork has a stream of its own, and the address that the guest knows', async (t) => {
  const a = cable()
  using vm = netMachine(echo, {}, { frames: a, mac: '02:00:00:00:00:0A' })
  const run = vm.run({ timeoutMs: 300_000 })
  await ready(vm, () => a.write(frame(60)))
  await vm.pause()
  using base = vm.snapshot()
  vm.stop()
  await run
  t.is(base.description.network[0]!.mac, '02:00:00:00:00:0a')
  t.throws(() => vm.fork(), vmError('ERR_SNAPSHOT', /network\[0\] has a stream.*another one/))
  const fork = (mac?: string) =>
    vm.fork({ network: [{ frames: cable(), ...(mac !== undefined && { mac }) }] })
  t.throws(() => fork('02:00:00:00:00:0b'), vmError('ERR_SNAPSHOT', /mac must be 02:00/))
  t.throws(() => vm.fork({ network: [] }), vmError('ERR_SNAPSHOT', /network must have 1/))
  const own = vmError('ERR_INVALID_OPTION', /network\[0\]\.frames is a card's already/)
  t.throws(() => vm.fork({ network: [{ frames: a }] }), own)
  const b = cable()
  using other = vm.fork({ network: [{ frames: b }] })
  const frames = heard(b)
  const going = other.run({ timeoutMs: 300_000 })
  b.write(frame(77))
  t.true(await until(() => frames.some(({ length }) => length === 77)))
  other.stop()
  await going
  // In place, with the stream that there is.
  vm.restore(base)
  const again = heard(a)
  const resumed = vm.run({ timeoutMs: 300_000 })
  a.write(frame(88))
  await until(() => again.some(({ length }) => length === 88))
  vm.stop()
  await resumed
})

kvmTest('a snapshot in a file wants its streams again', async (t) => {
  const path = `${t.title.replaceAll(/\W/g, '-')}-${process.pid}.snapshot`
  using vm = netMachine(echo, {}, { frames: cable() })
  const { rm } = await import('node:fs/promises')
  t.teardown(async () => await rm(path, { force: true }))
  await vm.snapshot().save(path)
  using loaded = await Snapshot.load(path)
  t.throws(() => new VirtualMachine({ snapshot: loaded }), vmError('ERR_SNAPSHOT', /network\[0\]/))
  using further = new VirtualMachine({ snapshot: loaded, network: [{ frames: cable() }] })
  t.is(further.counters().network.length, 1)
})

test('wrong cards are refused, naming what is wrong', (t) => {
  const base = { pc: true, mode: 'long', memoryBytes: 2 ** 21, payload: guests.hello } as const
  const shared = cable()
  const ended = cable().destroy()
  const cards: [network: unknown, RegExp][] = [
    [{}, /network must be an array/],
    [[{}], /network\[0\] must have either frames or passt/],
    [[{ frames: shared, passt: true }], /network\[0\] must have either frames or passt/],
    [[{ passt: false }], /network\[0\]\.passt must be true/],
    [[{ frames: {} }], /network\[0\]\.frames must be a Duplex in object mode/],
    [[{ frames: new Duplex() }], /network\[0\]\.frames must be in object mode/],
    [[{ frames: ended }], /network\[0\]\.frames must be open/],
    [[{ frames: shared }, { frames: shared }], /network\[1\]\.frames is another card's, too/],
    [[{ frames: cable(), mac: 1 }], /network\[0\]\.mac must be a string/],
    [[{ frames: cable(), mac: '02:00:00:00:00' }], /network\[0\]\.mac must be six bytes/],
    [[{ frames: cable(), mac: '0200.0000.0001' }], /network\[0\]\.mac must be six bytes/],
    [[{ frames: cable(), mac: '01:00:5e:00:00:01' }], /mac must be one station's address/],
    [[{ frames: cable(), mac: 'ff:ff:ff:ff:ff:ff' }], /mac must be one station's address/],
    [[{ frames: cable(), mac: '00:00:00:00:00:00' }], /mac must be one station's address/],
    [
      [
        { frames: cable(), mac: '02:00:00:00:00:0a' },
        { frames: cable(), mac: '02:00:00:00:00:0A' },
      ],
      /network\[1\]\.mac is another card's, too/,
    ],
    [[{ frames: cable(), name: 'eth0' }], /network\[0\] must be made of frames, passt, mac/],
  ]
  for (const [network, message] of cards) {
    const options = { ...base, network } as never
    t.throws(() => new VirtualMachine(options), vmError('ERR_INVALID_OPTION', message))
  }
  const five = Array.from({ length: 5 }, () => ({ frames: cable() }))
  t.throws(() => new VirtualMachine({ ...base, network: five }), vmError('ERR_LIMIT', /at most 4/))
})

kvmTest('cards need a PC, and have addresses that differ', (t) => {
  const network = (): { frames: Duplex }[] => [{ frames: cable() }, { frames: cable() }]
  const base = { mode: 'long', payload: guests.hello } as const
  t.throws(
    () => new VirtualMachine({ ...base, network: network() }),
    vmError('ERR_INVALID_OPTION', /network needs pc: true/),
  )
  const macs = [1, 2].flatMap(() => {
    using vm = new VirtualMachine({ ...base, pc: true, network: network() })
    return vm.snapshot().description.network.map(({ mac }) => mac)
  })
  t.is(new Set(macs).size, 4)
  for (const mac of macs) t.regex(mac, /^[\da-f][26ae](:[\da-f]{2}){5}$/)
})
