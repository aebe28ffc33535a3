// COM1 as a Node stream: every byte arrives once and in order, whichever side is slow.
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { runInNewContext } from 'node:vm'

import type { VirtualMachine } from '../src/index.ts'
import { until } from './fixtures/until.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/**
 * Sends back what it receives, until a zero: it waits for "data ready" (line status, bit 0), reads,
 * writes.
 */
const echo = `
  66 ba fd 03 ; 1: mov $0x3fd,%dx
  ec          ; 2: in (%dx),%al
  a8 01       ; test $1,%al
  74 fb       ; jz 2b
  66 ba f8 03 ; mov $0x3f8,%dx
  ec          ; in (%dx),%al
  ee          ; out %al,(%dx)
  84 c0       ; test %al,%al
  75 ed       ; jnz 1b
  f4          ; hlt
`
const byteCount = process.env['VMEXIT_SOAK'] === '1' ? 10_000_000 : affordable(20_000)

/** Bytes without a zero, then a zero. */
function message(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let index = 0; index < length - 1; index++)
    bytes[index] = 1 + ((index * 7 + (index >> 8)) % 255)
  return bytes
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function received(vm: VirtualMachine, length: number, pauseMs: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of vm.serial) {
    chunks.push(chunk as Buffer)
    total += (chunk as Buffer).length
    if (pauseMs > 0) await sleep(pauseMs)
    if (total >= length) break
  }
  return Buffer.concat(chunks)
}

for (const [reader, pauseMs] of [
  ['an eager', 0],
  ['a slow', 3],
] as const) {
  kvmTest(`what is written comes back byte by byte, with ${reader} reader`, async (t) => {
    const sent = message(byteCount)
    using vm = machine(echo, [], { serial: true })
    const running = vm.run({ timeoutMs: 3_600_000 }).then((result) => result)
    vm.serial.write(sent)
    const back = await received(vm, sent.length, pauseMs)
    t.is((await running).reason, 'hlt')
    t.is(back.length, sent.length)
    t.is(digest(back), digest(sent))
  })
}

kvmTestBoth('without a reader the text joins the output', async (t, run) => {
  // mov $0x3f8,%dx; mov $'h',%al; out; mov $'i',%al; out; hlt
  using vm = machine('66 ba f8 03 b0 68 ee b0 69 ee f4 ;', [], { serial: true })
  const result = await run(vm)
  t.deepEqual([result.reason, result.outputText], ['hlt', 'hi'])
  t.deepEqual(vm.counters().routes, [])
})

kvmTestBoth(
  'what was written before the run is there, and a string read takes it at once',
  async (t, run) => {
    // mov $0x3f8,%dx; mov $0x600,%edi; mov $5,%ecx; rep insb; hlt
    const listing =
      '66 ba f8 03 ; mov\n bf 00 06 00 00 ; mov\n b9 05 00 00 00 ; mov\n f3 6c ; rep insb\n f4 ; hlt'
    using vm = machine(listing, [], { serial: true })
    vm.serial.write('hello')
    t.is((await run(vm)).reason, 'hlt')
    t.is(Buffer.from(vm.memory.read(0x600, 5)).toString(), 'hello')
  },
)

kvmTest('a guest that never reads makes the writer wait, and close() ends that', async (t) => {
  using vm = machine('eb fe ;', [], { serial: true })
  const { serial } = vm
  const failed = new Promise<Error>((resolve) => serial.once('error', resolve))
  const written = new Promise<Error | null | undefined>((resolve) =>
    serial.write(Buffer.alloc(100_000), resolve),
  )
  const running = vm.run({ timeoutMs: 300_000 })
  await sleep(20)
  t.true(serial.writableLength > 0)
  vm.stop()
  t.is((await running).reason, 'stopped')
  serial.destroy()
  vm.close()
  t.is(((await written) as { code?: string } | null)?.code ?? 'none', 'ERR_VM_CLOSED')
  await Promise.race([failed, sleep(10)])
})

kvmTest('runSync() does not let what nobody can read grow without end', async (t) => {
  // mov $0x3f8,%dx; mov $'h',%al; out; mov $'i',%al; out; hlt
  const listing = '66 ba f8 03 b0 68 ee b0 69 ee f4 ;'
  const unread = Buffer.alloc((16 << 20) - 1)
  using vm = machine(listing, [], { serial: true })
  vm.serial.push(unread)
  const error = t.throws(
    () => vm.runSync({ timeoutMs: 300_000 }),
    vmError('ERR_HANDLER', /the serial port failed: 16777215 bytes wait for the reader/),
  )
  t.like(error?.cause, { code: 'ERR_LIMIT' })
  // The machine is as usable as before, and run() waits for the reader instead.
  using waiting = machine(listing, [], { serial: true })
  waiting.serial.push(unread)
  const running = waiting.run({ timeoutMs: 300_000 }).then((result) => result)
  t.is((await received(waiting, unread.length + 2, 0)).toString('latin1', unread.length), 'hi')
  t.is((await running).reason, 'hlt')
})

kvmTest('a reader who comes in the middle of a run makes the guest wait, too', async (t) => {
  // mov $0x3f8,%dx; 1: out %al,(%dx); jmp 1b
  using vm = machine('66 ba f8 03 ee eb fd ;', [], { serial: true })
  const running = vm.run({ timeoutMs: 300_000 }).then((result) => result)
  await sleep(1)
  const { serial } = vm
  const unread: number[] = []
  // It waits when what is unread grows no more.
  const stands = (): boolean => {
    unread.unshift(serial.readableLength)
    return unread[0]! >= serial.readableHighWaterMark && unread[0] === unread[20]
  }
  t.true(await until(stands, undefined, () => sleep(10)))
  t.true(serial.readableLength < 100_000, `${serial.readableLength}`)
  vm.stop()
  t.is((await running).reason, 'stopped')
})

kvmTest('close() fails a write that the guest has not read, and the stream is over', async (t) => {
  const vm = machine('eb fe ;', [], { serial: true })
  const { serial } = vm
  const closed = new Promise((resolve) => serial.once('close', resolve))
  const written = new Promise<Error | null | undefined>((resolve) =>
    serial.write(Buffer.alloc(200_000), resolve),
  )
  const piped = pipeline(Readable.from([Buffer.alloc(1000)]), serial)
  vm.close()
  t.like(await written, { code: 'ERR_VM_CLOSED' })
  await t.throwsAsync(piped)
  await closed
  t.true(serial.destroyed)
})

kvmTest('what the guest has sent before close() arrives', async (t) => {
  const texts: string[] = []
  const take = (bytes: Uint8Array): void => void texts.push(Buffer.from(bytes).toString())
  let asked = (): void => undefined
  const isAsked = new Promise<void>((resolve) => (asked = resolve))
  // mov $0x3f8,%dx; 'h' to COM1; 'i' to 0xe9; then the device, then '!' to both, and it spins.
  const listing = `
    66 ba f8 03 b0 68 ee b0 69 e6 e9 ; text
    e6 60                            ; out %al,$0x60
    b0 21 ee e6 e9                   ; text
    eb fe                            ; jmp .
  `
  const device = { write: (): void => asked() }
  const vm = machine(
    listing,
    [
      { port: 0xe9, to: 'console', onData: take },
      { port: 0x60, device },
    ],
    { serial: true },
  )
  vm.serial.on('data', take)
  const run = vm.run({ timeoutMs: 300_000 }).then((result) => result)
  await isAsked
  // What went before the question is here already.
  t.deepEqual(texts.toSorted(), ['h', 'i'])
  while (vm.counters().routes[0]!.writes < 2) await sleep(1)
  vm.close()
  await t.throwsAsync(run, vmError('ERR_VM_CLOSED'))
  t.true(await until(() => texts.join('').split('!').length === 3), texts.join(''))
})

/** Sends A to Z one by one, each after a question to 0x60; then it halts. */
const alphabet = `
  66 ba f8 03 ; mov $0x3f8,%dx
  b0 41       ; mov $0x41,%al
  e6 60       ; 1: out %al,$0x60
  ee          ; out %al,(%dx)
  fe c0       ; inc %al
  3c 5b       ; cmp $0x5b,%al
  75 f7       ; jne 1b
  f4          ; hlt
`
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
/** A device that lets text arrive in pieces. */
const slowly = { port: 0x60, device: { write: () => sleep(1) } }

kvmTest('leaving a for await loses no later text, and the next one goes on', async (t) => {
  using vm = machine(alphabet, [slowly], { serial: true })
  const { serial } = vm
  const run = vm.run({ timeoutMs: 300_000 }).then(({ reason, outputText }) => [reason, outputText])
  const texts: string[] = []
  while (texts.join('').length < letters.length) {
    try {
      for await (const chunk of vm.serial) {
        texts.push(String(chunk))
        if (texts.length % 2 === 1) break
        throw new Error('enough')
      }
    } catch (error) {
      t.is((error as Error).message, 'enough')
    }
    await sleep(2)
  }
  t.is(texts.join(''), letters)
  t.true(texts.length > 3, `${texts.length}`)
  t.is(vm.serial, serial)
  t.false(serial.destroyed)
  t.deepEqual(await run, ['hlt', ''])
})

kvmTest('after destroy() text joins the output, until there is a new stream', async (t) => {
  using vm = machine(alphabet, [slowly], { serial: true })
  const first: string[] = []
  const { serial } = vm
  serial.on('data', (chunk) => {
    first.push(String(chunk))
    if (first.join('').length >= 3) serial.destroy()
  })
  const { reason, outputText } = await vm.run({ timeoutMs: 300_000 })
  t.is(reason, 'hlt')
  t.true(first.length > 0 && outputText.length > 0)
  t.is(first.join('') + outputText, letters)
  t.not(vm.serial, serial)
  const second: string[] = []
  vm.serial.on('data', (chunk) => second.push(String(chunk)))
  vm.setRegisters({ rip: 0n })
  t.is((await vm.run({ timeoutMs: 300_000 })).outputText, '')
  t.true(await until(() => second.join('') === letters), second.join(''))
})

kvmTest('what is written is bytes that stay what they are', async (t) => {
  const write = (bytes: Uint8Array, meanwhile = (): void => undefined): Promise<unknown> => {
    const vm = machine('eb fe ;', [], { serial: true })
    vm.serial.on('error', () => undefined)
    return new Promise((resolve) => {
      vm.serial.write(bytes, resolve)
      meanwhile()
      setTimeout(() => vm.close(), 20)
    })
  }
  t.falsy(await write(runInNewContext('Uint8Array.of(1, 2, 3)')))
  t.falsy(await write(Object.defineProperty(Buffer.from('abc'), 'length', { value: 9 })))
  const heir = Object.create(Buffer.prototype, { length: { value: 3 } })
  t.like(await write(heir), { code: 'ERR_INVALID_OPTION' })
  const long = new Uint8Array(200_000)
  const detach = (): void => void structuredClone(long.buffer, { transfer: [long.buffer] })
  t.like(await write(long, detach), { code: 'ERR_INVALID_OPTION' })
})

kvmTest('close() ends a for await, whether a write waits or not', async (t) => {
  for (const waits of [false, true]) {
    const vm = machine('66 ba f8 03 b0 41 ee eb fe ;', [], { serial: true })
    const { serial } = vm
    serial.on('error', () => undefined)
    if (waits) serial.write(Buffer.alloc(200_000))
    const run = vm.run({ timeoutMs: 300_000 }).catch(({ code }) => code)
    const texts: string[] = []
    for await (const chunk of serial) {
      texts.push(String(chunk))
      setImmediate(() => vm.close())
    }
    t.deepEqual(texts, ['A'])
    t.is(await run, 'ERR_VM_CLOSED')
  }
})

kvmTest('a machine without a port says so, and a closed one too', (t) => {
  using vm = machine('f4 ;')
  t.throws(() => vm.serial, vmError('ERR_INVALID_OPTION', /serial: true/))
  const other = machine('f4 ;', [], { serial: true })
  other.close()
  t.throws(() => other.serial, vmError('ERR_VM_CLOSED'))
})

kvmTest('close() ends the stream after what was received', async (t) => {
  const vm = machine('66 ba f8 03 b0 68 ee b0 69 ee f4 ;', [], { serial: true })
  const { serial } = vm
  await vm.run({ timeoutMs: 300_000 })
  vm.close()
  const chunks: Buffer[] = []
  for await (const chunk of serial) chunks.push(chunk as Buffer)
  t.is(Buffer.concat(chunks).toString(), 'hi')
})

kvmTest('a route of the caller may not lie on the port', (t) => {
  t.throws(
    () => machine('f4 ;', [{ port: 0x3ff, to: 'discard' }], { serial: true }),
    vmError(
      'ERR_INVALID_OPTION',
      /^the machine's own device \(port 0x3f8\.\.=0x3ff\) overlaps routes\[0\] \(port 0x3ff\)$/,
    ),
  )
})
