// Calls of the public API: what can be called with what, at random and for real.
import { randomFill } from 'node:crypto'
import { inspect } from 'node:util'
import { gzip } from 'node:zlib'

import { randomOdd, spoil } from './values.mjs'

const gpas = [0, 0x500, 0x1000, 0xffff, 0x1_0000, 0x9_0000, 2 ** 40]
const offset = (random) => random.pick(gpas)
const bits = (random) => ({ big: random.wide() })
const one = (make) => (random) => [make(random)]
const none = () => []

/** `[arguments, call]` of each; `session` is where runs are kept, `vm` a machine. */
const table = {
  run: [runOptions, (session, vm, args) => session.begin(vm, args)],
  runSync: [runOptions, (session, vm, args) => session.runSync(vm, args)],
  stop: [none, (_, vm) => vm.stop()],
  reset: [none, (_, vm) => vm.reset()],
  pause: [none, (session, vm) => session.keep(vm.pause())],
  resume: [none, (_, vm) => vm.resume()],
  close: [none, (_, vm) => vm.close()],
  abort: [none, (session) => session.abort()],
  dispose: [none, (_, vm) => vm[Symbol.dispose]()],
  asyncDispose: [none, (session, vm) => session.keep(vm[Symbol.asyncDispose]())],
  reply: [one(bits), (_, vm, args) => vm.reply(...args)],
  registers: [none, (_, vm) => vm.registers()],
  setRegisters: [
    one((random) => ({
      rip: { big: '0x0' },
      [random.pick(['rax', 'rcx', 'rflags'])]: bits(random),
    })),
    (_, vm, args) => vm.setRegisters(...args),
  ],
  specialRegisters: [none, (_, vm) => vm.specialRegisters()],
  setSpecialRegisters: [
    one((random) => ({
      cr2: bits(random),
      ds: { base: bits(random), present: 1 },
      gdt: { limit: random.below(0x1_0000) },
    })),
    (_, vm, args) => vm.setSpecialRegisters(...args),
  ],
  read: [
    (random) => [offset(random), random.pick([0, 1, 4096, 2 ** 31])],
    (_, vm, args) => vm.memory.read(...args),
  ],
  write: [
    (random) => [offset(random), { odd: random.pick(['bytes', 'empty bytes', 'shared bytes']) }],
    (_, vm, args) => vm.memory.write(...args),
  ],
  readWord: [
    one(offset),
    (_, vm, args) => [vm.memory.readUint8(...args), vm.memory.readUint64(...args)],
  ],
  writeWord: [
    (random) => [offset(random), random.integer()],
    (_, vm, args) => vm.memory.writeUint32(...args),
  ],
  writeLong: [
    (random) => [offset(random), bits(random)],
    (_, vm, args) => vm.memory.writeUint64(...args),
  ],
  buffer: [none, (_, vm) => useBuffer(vm.memory.buffer)],
  leave: [none, (_, vm) => vm.memory.buffer.transfer?.()],
  fill: [none, (session, vm) => session.keep(job(randomFill, vm.memory.buffer))],
  pack: [none, (session, vm) => session.keep(job(gzip, vm.memory.buffer))],
  detach: [none, (_, vm) => tryToDetach(vm.memory.buffer)],
  counters: [none, (_, vm) => vm.counters()],
  loaded: [none, (_, vm) => vm.loaded.parts.length],
  inspect: [none, (_, vm) => inspect(vm, { depth: 4, showHidden: true, getters: true })],
  raise: [one((random) => random.below(26)), (_, vm, args) => vm.irq(...args).raise()],
  pulse: [one((random) => random.below(26)), (_, vm, args) => vm.irq(...args).pulse()],
  interrupt: [
    (random) => [random.below(260), random.below(5)],
    (_, vm, args) => vm.interrupt(...args),
  ],
  nmi: [one((random) => random.below(5)), (_, vm, args) => vm.nmi(...args)],
  serial: [none, (session, vm) => session.listen(vm.serial)],
  type: [none, (session, vm) => session.listen(vm.serial).write('text')],
  keys: [
    one((random) => random.pick(['text', 'A1!', 'é', '', '\n'])),
    (_, vm, args) => void vm.keyboard.type(...args),
  ],
  press: [
    one((random) => random.pick(['ctrl+c', 'a', 'shift', 'F13', 'no'])),
    (_, vm, args) => void vm.keyboard.press(...args),
  ],
  key: [
    one((random) => random.pick(['KeyA', 'Pause', 'ArrowUp', 'keya'])),
    (_, vm, args) => (vm.keyboard.down(...args), vm.keyboard.up(...args)),
  ],
  powerButton: [none, (_, vm) => vm.powerButton()],
  hangUp: [none, (session, vm) => session.listen(vm.serial).destroy()],
  gc: [none, () => globalThis.gc()],
}

/** What ends a run comes more often: it is in their meeting that machines hang. */
const NAMES = [
  ...Object.keys(table),
  ...['run', 'run', 'run', 'runSync', 'stop', 'stop', 'abort', 'pause', 'resume', 'resume'],
]

function runOptions(random) {
  if (random.oneIn(8)) return []
  return [
    {
      timeoutMs: random.pick([0, 0.2, 1, 5, 20]),
      ...(random.oneIn(3) && { onExit: true }),
      ...(random.oneIn(3) && { signal: true }),
    },
  ]
}

/** After `close()` it may be empty or detached, of which no view can be made. */
function useBuffer(buffer) {
  if (buffer.byteLength > 0) new Uint8Array(buffer)[0x600] = 1
}

/** Work of Node's own threads on the memory, which is not awaited when the machine is closed. */
function job(start, buffer) {
  if (buffer.byteLength === 0) return Promise.resolve()
  return new Promise((resolve) => void start(new Uint8Array(buffer), () => resolve()))
}

/** Node.js refuses to transfer a buffer that it does not own, or copies it. */
function tryToDetach(buffer) {
  try {
    structuredClone(buffer, { transfer: [buffer] })
  } catch (error) {
    if (error.name !== 'DataCloneError') throw error
  }
}

/** A call of one of `machines`, mostly of the first, now and then with something odd. */
export function randomCall(random, machines) {
  const name = random.pick(NAMES)
  const args = table[name][0](random)
  const odd = random.oneIn(6) && args.length > 0
  return {
    call: name,
    vm: random.oneIn(3) ? random.below(machines) : 0,
    ...(args.length > 0 && { args: odd ? spoil(random, args) : args }),
    ...(random.oneIn(60) && { args: [randomOdd(random)] }),
  }
}

/** Calls it. */
export function perform(session, { call, args = [] }, vm, revive) {
  const revived = revive(args)
  return table[call][1](session, vm, Array.isArray(revived) ? revived : [revived])
}
