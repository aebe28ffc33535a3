// What becomes of `vm.memory.buffer` when its machine is closed, or its environment ends. Prints what it saw as JSON.
//
//   node --expose-gc buffer.mjs SCENARIO [ARGUMENT]...
import { randomFill } from 'node:crypto'
import { openSync, read, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  MessageChannel,
  Worker,
  isMainThread,
  receiveMessageOnPort,
  workerData,
} from 'node:worker_threads'
import { brotliCompress, gzip } from 'node:zlib'
import { VirtualMachine, guests } from 'vmexit'

const MIB = 2 ** 20
const memoryBytes = 64 * MIB
/** What one read(2) of the random device gives at most. */
const mostRandomBytes = 2 ** 25 - 1

const machine = (options = {}) =>
  new VirtualMachine({ mode: 'long', payload: guests.spin, memoryBytes, ...options })

const status = (field) =>
  Number(
    new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1],
  ) / 1024

/** Mappings that neither a fork nor a core dump takes along, as guest memory is; in MiB. */
function guestMiB() {
  let [bytes, size] = [0, 0]
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *$/.exec(line)
    if (range) size = Number.parseInt(range[2], 16) - Number.parseInt(range[1], 16)
    else if (/^[0-9a-f]+-/.test(line)) size = 0
    if (/^VmFlags:.* dc .*dd /.test(line)) bytes += size
  }
  return bytes / MIB
}

const isZero = (bytes) => bytes.equals(Buffer.alloc(bytes.length))

/** Collects garbage until guest memory takes no more than this. */
async function collectedTo(mib) {
  for (let turn = 0; turn < 20_000 && guestMiB() > mib; turn++) {
    globalThis.gc()
    await sleep(5)
  }
  return guestMiB()
}

/** What Node's own threads do with a view; each resolves with a number of bytes. */
const jobs = {
  randomFill: (view, done) => randomFill(view, (error) => done(error, view.length)),
  gzip: (view, done) => gzip(view, { level: 1 }, (error, bytes) => done(error, bytes?.length)),
  brotliCompress: (view, done) =>
    brotliCompress(view, { params: { 1: 2 } }, (error, bytes) => done(error, bytes?.length)),
  read: (view, done) =>
    read(openSync('/dev/urandom', 'r'), view, 0, mostRandomBytes, null, (error, bytes) =>
      done(error, bytes),
    ),
}

async function closeUnderJob(name, how) {
  const vm = machine()
  const view = new Uint8Array(vm.memory.buffer)
  for (let at = 0; at < view.length; at += 4096) view[at] = at >> 12
  let isOver = false
  const done = new Promise((resolve) => {
    jobs[name](view, (error, bytes) => {
      isOver = true
      resolve(error ? error.message : bytes)
    })
  })
  await sleep(how === 'close() at once' ? 0 : 20)
  const wasUnderWay = !isOver
  if (how === 'using') vm[Symbol.dispose]()
  else vm.close()
  // What the job still writes must not end up in here.
  const others = Array.from({ length: 4 }, () => Buffer.alloc(memoryBytes))
  const outcome = await done
  const isClean = others.every((other) => isZero(other))
  return { wasUnderWay, outcome: typeof outcome === 'number' ? outcome > 0 : outcome, isClean }
}

async function closeGivesPagesBack(isRunning) {
  const vm = machine({ memoryBytes: 256 * MIB })
  const view = new Uint8Array(vm.memory.buffer)
  const before = status('VmRSS')
  view.fill(1, MIB)
  const filled = status('VmRSS') - before
  if (isRunning) vm.run().catch(() => undefined)
  vm.close()
  const kept = status('VmRSS') - before
  let code
  try {
    void vm.memory.buffer
  } catch (error) {
    code = error.code
  }
  const isEmpty = isZero(Buffer.from(view.buffer))
  view[5] = 7
  return {
    filled: filled > 200,
    kept: kept < 32,
    length: view.length,
    isEmpty,
    written: view[5],
    code,
  }
}

async function manyMachines() {
  const before = guestMiB()
  const closed = []
  for (let index = 0; index < 100; index++) {
    const vm = machine({ memoryBytes: 4 * MIB })
    new Uint8Array(vm.memory.buffer).fill(1)
    vm.close()
    // For its counters: that must not keep the memory.
    closed.push(vm)
  }
  return { left: (await collectedTo(before)) - before, closed: closed.length }
}

/** What a worker does with its buffer; `give` hands it to the main thread. */
const ways = {
  transfer: (buffer, give) => give(buffer.transfer()),
  transferToFixedLength: (buffer, give) => give(buffer.transferToFixedLength()),
  'transfer, twice': (buffer, give) => give(buffer.transfer().transfer()),
  'transfer and structuredClone': (buffer, give) => {
    const moved = buffer.transfer()
    give(structuredClone(moved, { transfer: [moved] }))
  },
  'transfer to another length': (buffer, give) => give(buffer.transfer(MIB)),
  transferToImmutable: (buffer, give) => give(buffer.transferToImmutable?.() ?? buffer.transfer()),
  'a copy': (buffer, give) => give(buffer.slice(0, MIB)),
  post: (buffer, give) => {
    try {
      give(buffer)
    } catch (error) {
      if (error.name !== 'DataCloneError') throw error
      give(buffer.slice(0, MIB))
    }
  },
}

const states = {
  open: () => undefined,
  closed: (vm) => vm.close(),
  running: (vm) => void vm.run().catch(() => undefined),
  'running before': (vm) => {
    vm.run().catch(() => undefined)
    vm.stop()
  },
}

function inWorker({ way, state, port, forgets }) {
  let vm = machine()
  if (state === 'running before') states[state](vm)
  let { buffer } = vm.memory
  new Uint8Array(buffer).fill(7, 0x10_0000)
  ways[way](buffer, (given) => port.postMessage(given, way === 'a copy' ? [] : [given]))
  if (state !== 'running before') states[state](vm)
  if (forgets) {
    vm = buffer = undefined
    for (let index = 0; index < 3; index++) globalThis.gc()
  } else globalThis.kept = [vm, buffer]
  port.close()
}

async function leaveWorker(way, state, forgets) {
  const { port1, port2 } = new MessageChannel()
  const before = guestMiB()
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { way, state, forgets: forgets === 'forgets', port: port2 },
    transferList: [port2],
  })
  const failures = []
  worker.on('error', (error) => failures.push(error.message))
  await new Promise((resolve) => worker.on('exit', resolve))
  let buffer = receiveMessageOnPort(port1)?.message
  const { byteLength } = buffer
  const bytes = Buffer.from(buffer)
  // Every page is read, and written where that is allowed.
  const isEmpty = isZero(bytes)
  try {
    bytes.fill(9)
  } catch {
    // An immutable one.
  }
  const vm = machine()
  const { reason } = vm.runSync({ timeoutMs: 1 })
  vm.close()
  buffer = undefined
  // What a machine has goes soon after its `close()`; what was transferred, with its buffer.
  const after = way.startsWith('transfer') ? guestMiB() : await collectedTo(before)
  const left = Math.max(0, after - before)
  return { failures, byteLength, isEmpty, reason, left }
}

/** Workers that keep their buffers leave nothing. */
async function workersThatEnd() {
  const before = guestMiB()
  for (let index = 0; index < 10; index++) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { keeps: true },
    })
    await new Promise((resolve) => worker.on('exit', resolve))
  }
  return { left: (await collectedTo(before)) - before }
}

/** The other way round: the main thread's buffer goes to a worker, which ends. */
async function enterWorker() {
  const before = guestMiB()
  await (async () => {
    const vm = machine()
    const moved = vm.memory.buffer.transfer()
    vm.close()
    const worker = new Worker('require("worker_threads").workerData.fill(3)', {
      eval: true,
      workerData: new Uint8Array(moved),
      transferList: [moved],
    })
    await new Promise((resolve) => worker.on('exit', resolve))
  })()
  return { left: (await collectedTo(before)) - before }
}

const scenarios = {
  'close under a job': closeUnderJob,
  'close gives pages back': (how) => closeGivesPagesBack(how === 'running'),
  'many machines': manyMachines,
  'leave a worker': leaveWorker,
  'enter a worker': enterWorker,
  'workers that end': workersThatEnd,
  ways: async () => ({ ways: Object.keys(ways), states: Object.keys(states) }),
}

if (!isMainThread && workerData.keeps) {
  const vm = machine()
  globalThis.kept = [vm, vm.memory.buffer]
  new Uint8Array(vm.memory.buffer).fill(1)
} else if (!isMainThread) inWorker(workerData)
else {
  const [scenario, ...rest] = process.argv.slice(2)
  process.stdout.write(`${JSON.stringify(await scenarios[scenario](...rest))}\n`)
}
