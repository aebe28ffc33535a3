// Guests of random code on machines of every kind. Whatever they do, each run ends in time and for a reason that is known.
import { setImmediate as turn } from 'node:timers/promises'

import { VirtualMachine, VmError } from '../../dist/index.js'
import { program } from './code.mjs'
import { makeRoute, placesOf, randomRoutes } from './routes.mjs'
import { REASONS } from './session.mjs'

/** What a machine may be refused for: a combination that no machine has. */
const REFUSALS = new Set(['ERR_INVALID_OPTION', 'ERR_LIMIT', 'ERR_PAYLOAD', 'ERR_KVM_CAPABILITY'])

/** A run ends so long after it should, at most, whatever its handlers and the host do. */
const BOUND_MS = 60_000

const CODE_GPA = 0x1000
const REGISTERS = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'r8', 'rflags']

function randomRegisters(random) {
  const names = REGISTERS.filter(() => random.oneIn(3))
  const rip = { rip: `0x${(random.oneIn(12) ? random.integer() : CODE_GPA).toString(16)}` }
  return {
    rsp: '0x8000',
    ...Object.fromEntries(names.map((name) => [name, random.wide()])),
    ...rip,
  }
}

function randomRun(random, { mode, sync, places }) {
  const limitMs = random.between(3, 20) / 10
  const end = sync ? 'timeoutMs' : random.pick(['timeoutMs', 'timeoutMs', 'stop', 'abort'])
  return {
    code: program(random, mode, places),
    registers: randomRegisters(random),
    end,
    limitMs: end === 'timeoutMs' ? limitMs : limitMs * 5,
    ...(random.oneIn(2) && { restore: true }),
    ...(random.oneIn(3) && { onExit: true }),
    ...(random.oneIn(4) && {
      interrupts: random.several(random.between(1, 8), () => random.below(256)),
    }),
    reply: random.wide(),
  }
}

/** A machine and its runs, as plain JSON. */
export function generate(random) {
  const mode = random.pick([
    'real',
    'real',
    'protected',
    'protected',
    'long',
    'long',
    'long',
    'paged32',
  ])
  const sync = random.oneIn(3)
  const irqchip = random.oneIn(4)
  const routes = randomRoutes(random, sync)
  const places = placesOf(routes)
  return {
    mode,
    privilege: mode === 'long' && random.oneIn(2) ? 'user' : 'kernel',
    memoryBytes: random.pick([0x1_0000, 0x8_0000, 0x20_0000]),
    vcpus: sync ? 1 : random.pick([1, 1, 2, 4]),
    irqchip,
    ...(irqchip && random.oneIn(2) && { pc: true }),
    ...(random.oneIn(4) && {
      slots: [{ gpa: 0x3000_0000, bytes: 0x1000, readOnly: random.oneIn(2) }],
    }),
    routes,
    sync,
    runs: random.several(random.between(1, 24), () => randomRun(random, { mode, sync, places })),
  }
}

function make({ routes, runs: _runs, sync: _sync, ...options }) {
  const image = Buffer.alloc(CODE_GPA + 64, 0xf4)
  const payload = { image: new Uint8Array(image), entryGpa: CODE_GPA }
  try {
    return new VirtualMachine({ ...options, payload, routes: routes.map(makeRoute) })
  } catch (error) {
    if (error instanceof VmError && REFUSALS.has(error.code)) return undefined
    throw error
  }
}

const bigints = (registers) =>
  Object.fromEntries(Object.entries(registers).map(([name, value]) => [name, BigInt(value)]))

/** A call that a machine may refuse, for any reason or for one, but not break at. */
function allow(call, code) {
  try {
    call()
  } catch (error) {
    if (!(error instanceof VmError) || error.code !== (code ?? error.code)) throw error
  }
}

function interruptAll(vm, { interrupts = [] }) {
  for (const vector of interrupts) {
    const vcpu = vector % vm.vcpus.length
    if (vector % 3 === 0) allow(() => vm.nmi(vcpu))
    else if (vector % 3 === 1) allow(() => vm.interrupt(vector, vcpu))
    else allow(() => vm.irq(vector % 24).pulse())
  }
}

async function start(vm, run, sync) {
  const onExit =
    run.onExit && (({ reason }) => (reason.endsWith('read') || reason === 'pio-in' ? 1 : undefined))
  const shared = onExit ? { onExit } : {}
  if (sync) {
    interruptAll(vm, run)
    return vm.runSync({ ...shared, timeoutMs: run.limitMs })
  }
  if (run.end === 'timeoutMs')
    return running(vm.run({ ...shared, timeoutMs: run.limitMs }), vm, run)
  const abort = new AbortController()
  const stop = run.end === 'stop' ? () => vm.stop() : () => abort.abort('aborted')
  const timer = setTimeout(stop, run.limitMs)
  try {
    return await running(vm.run({ ...shared, signal: abort.signal }), vm, run)
  } finally {
    clearTimeout(timer)
  }
}

async function running(promise, vm, run) {
  promise.catch(() => undefined)
  await turn()
  interruptAll(vm, run)
  return promise.catch((error) =>
    error === 'aborted' ? { reason: 'stopped' } : Promise.reject(error),
  )
}

/** A read that was about to end a run which is aborted is still to be answered. */
async function answered(vm, run, sync) {
  try {
    return await start(vm, run, sync)
  } catch (error) {
    if (error?.code !== 'ERR_UNANSWERED_READ') throw error
    vm.reply(BigInt(run.reply))
    return start(vm, run, sync)
  }
}

/** A run that was cut off may have left an access that waits for its answer: the next run asks again. */
function prepare(vm, run, initial) {
  for (const [index, vcpu] of vm.vcpus.entries()) {
    allow(() => {
      if (run.restore) vcpu.setSpecialRegisters(initial[index])
      vcpu.setRegisters({ ...bigints(run.registers), rdi: BigInt(index) })
    }, 'ERR_UNANSWERED_READ')
  }
}

async function runOnce(vm, run, sync, initial) {
  prepare(vm, run, initial)
  vm.memory.write(CODE_GPA, new Uint8Array(Buffer.from(run.code, 'hex')))
  const begin = performance.now()
  const { reason, exit } = await answered(vm, run, sync)
  const tookMs = performance.now() - begin
  if (!REASONS.has(reason)) throw new Error(`ended with reason '${reason}'`)
  if (tookMs > BOUND_MS) throw new Error(`took ${tookMs.toFixed(0)} ms instead of ${run.limitMs}`)
  if (exit && (reason === 'pio-in' || reason === 'mmio-read')) vm.reply(BigInt(run.reply))
}

/** Makes the machine and does its runs; throws when something is wrong. */
export async function execute(task) {
  const vm = make(task)
  if (!vm) return
  try {
    const initial = vm.vcpus.map((vcpu) => vcpu.specialRegisters())
    for (const run of task.runs) await runOnce(vm, run, task.sync, initial)
  } finally {
    vm.close()
  }
}
