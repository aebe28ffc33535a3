// One scenario of each kind of machine. Each makes its machine, uses it, closes it, and returns what came of it in a few words, which are the same
// every time. Every run has a limit. A scenario whose name begins with `first` is about the first machine of a process.
import { setImmediate as turn } from 'node:timers/promises'

import { guests } from '../../dist/index.js'
import { buildImage } from '../fuzz/shapes.mjs'
import { registersAndInterrupts, serialLine, snapshots } from './state.mjs'
import { LIMIT, use } from './use.mjs'

/** Machine code in hexadecimal. */
const code = (hex) => ({ image: Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')) })

const said = ({ reason, outputText }) => `${reason} ${outputText.trim()}`

const hello = (mode, privilege) => () => {
  const routes = [{ port: 0xe9, to: 'console' }]
  const options = { mode, payload: guests.hello, routes, ...(privilege && { privilege }) }
  return use(options, (vm) => {
    const result = vm.runSync(LIMIT)
    return `${said(result)} ${vm.registers().rax} ${vm.memory.readUint32(0x400)}`
  })
}

/** `out %al,$0x62` 32 times, counting up, then `hlt`: in real mode a loop of cx. */
const post = code('b9 20 00 b0 00 e6 62 fe c0 e2 fa f4')

/** The same by `mov %al,(%bx)`, to 0x9000:0, after memory of 64 KiB. */
const postMmio = code('b8 00 90 8e d8 bb 00 00 b9 20 00 b0 00 88 07 fe c0 e2 fa f4')

function posted(to, sync, claim = { port: 0x62 }, payload = post) {
  return () => {
    const values = []
    const onBatch = (batch) => void values.push(...batch.values)
    const options = { mode: 'real', memoryBytes: 0x1_0000, payload }
    return use({ ...options, routes: [{ ...claim, to, onBatch }] }, async (vm) => {
      const { reason } = sync ? vm.runSync(LIMIT) : await vm.run(LIMIT)
      return `${reason} ${values.join()}`
    })
  }
}

async function event() {
  let count = 0
  const onEvent = (more) => (count += more)
  return use(
    { mode: 'real', payload: post, routes: [{ port: 0x62, to: 'event', onEvent }] },
    async (vm) => {
      const { reason } = await vm.run(LIMIT)
      return `${reason} ${count}`
    },
  )
}

function device(wait) {
  return () => {
    const asked = []
    const read = (offset, size) => (wait ? turn(size) : size)
    const write = (offset, size, value) => void asked.push(value)
    // in $0x60,%al; out %al,$0x60; in $0x60,%ax; out %ax,$0x60; hlt
    const options = { mode: 'real', payload: code('e4 60 e6 60 e5 60 e7 60 f4') }
    return use({ ...options, routes: [{ port: 0x60, device: { read, write } }] }, async (vm) => {
      const { reason } = await vm.run(LIMIT)
      return `${reason} ${asked.join()}`
    })
  }
}

async function text() {
  let output = ''
  const onData = async (bytes) => {
    await turn()
    output += Buffer.from(bytes).toString()
  }
  const routes = [{ port: 0xe9, to: 'console', onData }]
  return use({ payload: guests.hello, routes }, async (vm) => {
    const { reason } = await vm.run(LIMIT)
    return `${reason} ${output.trim()}`
  })
}

/** A run whose promise is used, but not in this turn. */
function begin(vm, options) {
  const run = vm.run({ ...LIMIT, ...options })
  run.catch(() => undefined)
  return run
}

async function ended() {
  return use({ payload: guests.spin }, async (vm) => {
    const reasons = [vm.runSync({ timeoutMs: 2 }).reason, (await vm.run({ timeoutMs: 2 })).reason]
    const stopped = begin(vm)
    await turn()
    vm.stop()
    reasons.push((await stopped).reason)
    const abort = new AbortController()
    const aborted = begin(vm, { signal: abort.signal })
    await turn()
    abort.abort('aborted')
    reasons.push(await unless(aborted, (error) => error === 'aborted'))
    const cutOff = begin(vm)
    await turn()
    vm.close()
    reasons.push(await unless(cutOff, ({ code: why }) => why === 'ERR_VM_CLOSED'))
    return reasons.join()
  })
}

/** How a run ends; what was asked for is no failure. */
async function unless(run, isExpected) {
  try {
    return (await run).reason
  } catch (error) {
    if (!isExpected(error)) throw error
    return 'rejected'
  }
}

/** Each of four vCPUs writes its index to a device and to a queue; the first ends the run, 5 ms later. */
async function several() {
  const seen = []
  const write = (offset, size, value) => void seen.push(value)
  // mov %edi,%eax; out %al,$0x60; out %al,$0x62; test %eax,%eax; jnz .; in $0x61,%al; hlt
  const options = { vcpus: 4, payload: code('89 f8 e6 60 e6 62 85 c0 75 fe e4 61 f4') }
  const batches = []
  const onBatch = (batch) => void batches.push(...batch.values)
  // A vCPU that cannot run writes nothing: its peers' run is over then, and this must not wait on.
  let isOver = false
  const mayCome = () => seen.length < 4 && !isOver
  const read = async () => {
    while (mayCome()) await turn()
    return 1
  }
  const routes = [
    { port: 0x60, device: { write } },
    { port: 0x61, device: { read } },
    { port: 0x62, to: 'queue', onBatch },
  ]
  return use({ ...options, routes }, async (vm) => {
    const { reason } = await vm.run(LIMIT).finally(() => (isOver = true))
    return `${reason} ${seen.toSorted().join()} ${batches.length > 0}`
  })
}

/** Each of two vCPUs writes its index; the first, whose write is there at the end, halts. */
async function severalCoalesce() {
  const values = []
  // mov %edi,%eax; out %al,$0x62; test %eax,%eax; jnz .; hlt
  const options = { vcpus: 2, payload: code('89 f8 e6 62 85 c0 75 fe f4') }
  const onBatch = (batch) => void values.push(...batch.values)
  return use({ ...options, routes: [{ port: 0x62, to: 'coalesce', onBatch }] }, async (vm) => {
    const { reason } = await vm.run(LIMIT)
    return `${reason} ${values.includes(0)}`
  })
}

async function smp() {
  const routes = [
    { port: 0xe9, to: 'console' },
    { port: 0xf4, to: 'stop' },
  ]
  const options = { mode: 'protected', irqchip: true, vcpus: 2, payload: guests.smp, routes }
  return use(options, async (vm) => said(await vm.run({ timeoutMs: 2000 })))
}

/** Says "ok" on COM1 and powers off. */
const okAndOff = '66ba f803 b06f ee b06b ee 66ba 0406 66b8 0020 66ef'.replaceAll(' ', '')

async function pc() {
  const image = buildImage({ format: 'elf64', fill: okAndOff })
  return use({ mode: undefined, pc: true, payload: { image } }, async (vm) =>
    said(await vm.run(LIMIT)),
  )
}

async function slots() {
  const written = []
  const onExit = (exit) => void written.push(exit.reason)
  const options = {
    mode: 'protected',
    slots: [
      { gpa: 0x1000_0000, bytes: 0x1000, readOnly: true },
      { gpa: 0x2000_0000, bytes: 0x2000 },
    ],
    // mov %al,0x10000000; mov %al,0x20000000; hlt
    payload: code('a2 00 00 00 10 a2 00 00 00 20 f4'),
  }
  return use(options, (vm) => {
    vm.memory.write(0x1000_0000, Uint8Array.of(7))
    const { reason } = vm.runSync({ ...LIMIT, onExit })
    return `${reason} ${written.join()} ${vm.memory.readUint8(0x1000_0000)}`
  })
}

/** Unclaimed exits, one after the other, and the answer of a read. */
async function unclaimed() {
  return use({ mode: 'real', payload: code('e6 10 e4 11 f4') }, (vm) => {
    const reasons = [vm.runSync(LIMIT).reason, vm.runSync(LIMIT).reason]
    vm.reply(5)
    reasons.push(vm.runSync({ ...LIMIT, timeKvmRun: true }).reason)
    return `${reasons.join()} ${vm.registers().rax & 0xffn}`
  })
}

const loaders = ['elf32', 'elf64', 'multiboot', 'multiboot-elf', 'pvh', 'bzimage'].map((format) => {
  const options = {
    mode: undefined,
    memoryBytes: 64 << 20,
    payload: { image: buildImage({ format }) },
  }
  const body = (vm) => `${vm.loaded.format} ${vm.runSync(LIMIT).reason}`
  return [`loader ${format}`, () => use(options, body)]
})

const memory = () =>
  use({ payload: guests.hello }, (vm) => {
    const view = new Uint8Array(vm.memory.buffer)
    vm.memory.writeUint32(0x8_0000, 7)
    return `${view.length} ${view[0x8_0000]}`
  })

export const scenarios = {
  'first machine': ended,
  'first coalesce': severalCoalesce,
  'first event': event,
  real: hello('real'),
  protected: hello('protected'),
  paged32: hello('paged32'),
  long: hello('long'),
  user: hello('long', 'user'),
  text: text,
  device: device(false),
  promise: device(true),
  'queue sync': posted('queue', true),
  queue: posted('queue', false),
  'coalesce sync': posted('coalesce', true),
  coalesce: posted('coalesce', false),
  'coalesce mmio': posted('coalesce', false, { gpa: 0x9_0000, length: 0x100 }, postMmio),
  event: event,
  ends: ended,
  'several vcpus': several,
  'smp irqchip': smp,
  pc: pc,
  serial: serialLine,
  slots: slots,
  unclaimed: unclaimed,
  state: registersAndInterrupts,
  snapshots: snapshots,
  memory: memory,
  ...Object.fromEntries(loaders),
}
