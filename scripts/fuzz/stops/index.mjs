// A random program is run freely, stepped through, and stopped at some of its instructions. Each way it comes to the same end; so many steps end where a limit of as
// many does; and a breakpoint is hit as often as the steps say that its instruction is executed, by whatever means, with interrupts and several vCPUs about.
import { setImmediate as turn } from 'node:timers/promises'
import { inspect, isDeepStrictEqual } from 'node:util'

import { VirtualMachine } from '../../../dist/index.js'
import { CODE, COUNTER, DATA, PART_BYTES, PORTS, program } from './code.mjs'

/** A run that takes longer hangs. */
const LIMIT_MS = 60_000
/** Instructions of a program that is not too long to be stepped through several times. */
const MOST_STEPS = 3000
/** Where the table of interrupts lies in protected and long mode. */
const TABLE = 0x3000
const VECTOR = 0x20
const MEMORY_BYTES = 0x1_0000
/** RF says whether an instruction was interrupted, which the host decides. */
const RESUME_FLAG = 1n << 16n

/** What decides by which means a machine stops. */
export const PLACES = [
  { mode: 'real', privilege: 'kernel', irqchip: false },
  { mode: 'real', privilege: 'kernel', irqchip: true },
  { mode: 'protected', privilege: 'kernel', irqchip: false },
  { mode: 'protected', privilege: 'kernel', irqchip: true },
  { mode: 'long', privilege: 'kernel', irqchip: false },
  { mode: 'long', privilege: 'kernel', irqchip: true },
  { mode: 'long', privilege: 'user', irqchip: false },
]

/** A machine, where it stops and how, as plain JSON. */
export function generate(random, place = random.pick(PLACES)) {
  const { mode, privilege, irqchip } = place
  const vcpus = privilege === 'user' || irqchip || random.oneIn(2) ? 1 : random.between(2, 3)
  const interrupts = privilege === 'kernel' && !irqchip && random.oneIn(2)
  const made = program(random, mode, interrupts)
  // Those of the handler are executed as often as there are interrupts.
  const places = made.starts.filter(
    (at) => at <= made.done && !(at >= made.handler && at < made.main),
  )
  const points = random.several(random.between(1, 9), () => ({
    at: random.oneIn(6) ? random.pick([CODE, made.done]) : random.pick(places),
    ...(random.oneIn(4) && { gpa: true }),
  }))
  if (interrupts) points.push({ at: made.handler })
  const style = random.pick(['handler', 'end', 'sometimes', 'promise'])
  // Where one of two has ended the run, the other is not told.
  const isFirst = ({ at }, index) => points.findIndex((point) => point.at === at) === index
  const ends = style === 'end' || style === 'sometimes'
  return {
    ...{ mode, privilege, vcpus, irqchip, interrupts, ...made, style },
    points: ends ? points.filter(isFirst) : points,
    part: random.below(1000) / 1000,
    chunks: random.between(1, 3),
  }
}

/** What a run of a task has to do with, and what it has seen. */
class World {
  written = []
  #arrived = 0
  #raised = 0

  constructor(task) {
    this.task = task
    const image = Buffer.from(task.code, 'hex')
    this.vm = new VirtualMachine({
      ...{ mode: task.mode, privilege: task.privilege, vcpus: task.vcpus, irqchip: task.irqchip },
      memoryBytes: MEMORY_BYTES,
      payload: { image: new Uint8Array(image), loadGpa: CODE, entryGpa: CODE },
      routes: this.routes(() => this.vm),
    })
    if (task.interrupts) prepareInterrupts(this.vm, task)
  }

  routes(vm) {
    const done = () => {
      this.#arrived++
      if (this.isDone) vm().stop()
    }
    const device = {
      read: () => 0x5a,
      write: (_offset, _size, value) => {
        this.written.push(Number(value))
        this.raise()
      },
    }
    return [
      { port: PORTS.device, length: 1, to: 'device', device },
      { port: PORTS.nowhere, length: 1, to: 'discard' },
      { port: PORTS.done, length: 1, to: 'device', device: { read: () => 0, write: done } },
    ]
  }

  /** With one vCPU on this thread, unless handlers return promises. */
  async run(options, kind = 'run') {
    const isAsync = this.task.vcpus > 1 || this.task.style === 'promise'
    const all = { timeoutMs: LIMIT_MS, ...options }
    return isAsync ? this.vm[kind](all) : this.vm[`${kind}Sync`](all)
  }

  /** Whether every vCPU is at its end. */
  get isDone() {
    return this.#arrived === this.task.vcpus
  }

  /** Interrupts a vCPU, if this run is to have interrupts. */
  raise(vcpu = this.#raised % this.task.vcpus) {
    if (!this.raises || this.#raised >= 200) return
    this.#raised++
    this.vm.interrupt(VECTOR, vcpu)
  }
}

/** Leads a vector to the program's handler. */
function prepareInterrupts({ memory, vcpus }, { mode, handler }) {
  if (mode === 'real') {
    memory.writeUint32(VECTOR * 4, handler)
    return
  }
  const { cs } = vcpus[0].specialRegisters()
  const bytes = mode === 'long' ? 16 : 8
  memory.writeUint32(TABLE + VECTOR * bytes, (cs.selector << 16) | handler)
  memory.writeUint32(TABLE + VECTOR * bytes + 4, 0x8e00)
  for (const vcpu of vcpus)
    vcpu.setSpecialRegisters({ idt: { base: BigInt(TABLE), limit: (VECTOR + 1) * bytes - 1 } })
}

/** Makes a machine, does something with it, and closes it. */
async function inWorld(task, body) {
  const world = new World(task)
  try {
    return await body(world)
  } finally {
    world.vm.close()
  }
}

const stateOf = ({ vm }) => {
  const registers = vm.vcpus.map((vcpu) => {
    const { rflags, rip: _rip, ...others } = vcpu.registers()
    return { ...others, rflags: rflags & ~RESUME_FLAG }
  })
  const parts = vm.vcpus.map((_, index) => vm.memory.read(DATA + index * PART_BYTES, PART_BYTES))
  return { registers, data: parts.map((part) => Buffer.from(part).toString('hex')) }
}

function same(what, found, wanted) {
  if (isDeepStrictEqual(found, wanted)) return
  const show = (it) => inspect(it, { breakLength: Infinity, depth: 5, maxArrayLength: 40 })
  throw new Error(`${what}: ${show(found)} instead of ${show(wanted)}`)
}

/** A look at the code finds the guest's own. */
function pristine(when, { vm, task }) {
  const bytes = vm.memory.read(CODE, task.code.length / 2)
  same(`code ${when}`, Buffer.from(bytes).toString('hex'), task.code)
}

async function runFreely(world) {
  const { reason } = await world.run()
  same('end of a free run', reason, 'stopped')
  return { ...stateOf(world), ...(world.task.vcpus === 1 && { written: world.written }) }
}

/** Where the next instruction is after each step of one vCPU, up to its end. */
async function trace(world, vcpu) {
  const { vm, task } = world
  const addresses = []
  let isOver = false
  vm.debug.onStep(
    ({ address }) => {
      isOver ||= Number(address) === task.spin || addresses.length > MOST_STEPS
      if (!isOver) addresses.push(Number(address))
      return addresses.length > MOST_STEPS ? 'stop' : undefined
    },
    { vcpu },
  )
  const { reason } = await world.run()
  if (addresses.length <= MOST_STEPS) same('end of a trace', reason, 'stopped')
  return addresses
}

/** How often each instruction is executed; a round of one that repeats is no further time. */
function executions(addresses) {
  const counts = new Map()
  let last
  for (const at of [CODE, ...addresses]) {
    if (at !== last) counts.set(at, (counts.get(at) ?? 0) + 1)
    last = at
  }
  return counts
}

/** So many steps, in one call or several, and a limit of as many. */
async function checkSteps(task, traces, free) {
  const vcpu = Math.floor(task.part * 7) % task.vcpus
  const addresses = traces[vcpu]
  const count = 1 + Math.floor(task.part * addresses.length)
  if (count > addresses.length) return
  const stepped = await inWorld(task, async (world) => {
    let left = count
    for (let chunks = task.chunks; left > 0; chunks--) {
      const now = chunks <= 1 ? left : Math.min(left, 1 + Math.floor(left / chunks))
      const { reason } = await world.run({ count: now, vcpu }, 'step')
      same(`end of ${now} steps`, reason, 'step')
      left -= now
    }
    const rip = Number(world.vm.vcpus[vcpu].registers().rip)
    same(`address after ${count} steps of vCPU ${vcpu}`, rip, addresses[count - 1])
    const state = stateOf(world)
    pristine('after steps', world)
    same('a free run after steps', await runFreely(world), free)
    return { rip, state }
  })
  if (task.vcpus > 1) return
  await inWorld(task, async (world) => {
    const { reason } = await world.run({ maxInstructions: count })
    same('end by a limit', reason, 'instruction-limit')
    const rip = Number(world.vm.registers().rip)
    same('steps and a limit', { rip, state: stateOf(world) }, stepped)
    same('a free run after a limit', await runFreely(world), free)
  })
}

/** What a handler of a breakpoint does. */
function handlerOf(world, at) {
  let calls = 0
  const count = ({ address, vcpu, registers }) => {
    same('address of a hit', Number(address), at)
    same('instruction of a hit', Number(registers().rip), at)
    calls++
    // One in the handler would come within it, and so on until its stack is full.
    if (at !== world.task.handler) world.raise(vcpu)
  }
  const { style } = world.task
  if (style === 'end') return undefined
  if (style === 'promise')
    return async (hit) => {
      count(hit)
      if (calls % 3 === 1) {
        await world.vm.pause()
        pristine('in a pause', world)
        world.vm.resume()
      }
      await turn()
    }
  return (hit) => {
    count(hit)
    // Other vCPUs may be inside the guest.
    if (world.task.vcpus === 1) pristine('in a handler', world)
    return style === 'sometimes' && calls % 3 === 0 ? 'stop' : undefined
  }
}

async function checkBreakpoints(task, traces, free) {
  return inWorld(task, async (world) => {
    world.raises = task.interrupts
    const stops = task.points.map(({ at, gpa }) => {
      const handler = handlerOf(world, at)
      return { at, stop: world.vm.debug.breakpoint(gpa ? { gpa: at } : at, handler) }
    })
    for (;;) {
      const result = await world.run()
      pristine('after a run', world)
      if (result.reason !== 'breakpoint') {
        same('end of a run with breakpoints', result.reason, 'stopped')
        break
      }
      const at = Number(result.hit.address)
      same('instruction of an end', Number(world.vm.vcpus[result.vcpu].registers().rip), at)
      // It may have come at the same time, and the other end counts.
      if (world.isDone) break
      if (task.style === 'end' && at !== task.handler) world.raise(result.vcpu)
    }
    checkHits(world, stops, traces)
    const { written, ...state } = free
    if (!task.interrupts) same('a run with breakpoints', stateOf(world), state)
    if (!task.interrupts && written) same('what it has written', world.written, written)
    return world.vm.debug.means.breakpoint
  })
}

/**
 * Each stop was hit as often as the traces say; that of the handler as often as the guest has counted, or once more for each vCPU that was there when the last
 * one came to its end.
 */
function checkHits({ vm, task }, stops, traces) {
  const counts = traces.map(executions)
  const counted = vm.memory.readUint32(COUNTER)
  const found = stops.map(({ at, stop }) => {
    const more = stop.hits - counted
    const isExplained = at === task.handler && more >= 0 && more < task.vcpus
    return [at, isExplained ? counted : stop.hits]
  })
  const wanted = stops.map(({ at }) => {
    if (at === task.handler) return [at, counted]
    return [at, counts.reduce((sum, one) => sum + (one.get(at) ?? 0), 0)]
  })
  same(`hits by ${vm.debug.means.breakpoint}`, found, wanted)
}

/** Runs the program in every way, and tells by which means it has stopped; throws when something is wrong. */
export async function execute(task) {
  const free = await inWorld(task, runFreely)
  const traces = []
  for (let vcpu = 0; vcpu < task.vcpus; vcpu++) {
    const addresses = await inWorld(task, (world) => trace(world, vcpu))
    if (addresses.length > MOST_STEPS) return undefined
    traces.push(addresses)
  }
  await checkSteps(task, traces, free)
  return checkBreakpoints(task, traces, free)
}
