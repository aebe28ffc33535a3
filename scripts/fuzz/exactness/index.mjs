// A random guest is stopped somewhere, and a snapshot is taken. What follows happens again, exactly, after a restore and in a further machine, of the snapshot or
// of its file: the same questions, results, text, posted writes, registers and memory.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, isDeepStrictEqual } from 'node:util'

import { Snapshot, VirtualMachine, VmError } from '../../../dist/index.js'
import { program } from '../code.mjs'
import { placesOf, randomRoutes } from '../routes.mjs'

/** A combination that no machine has. */
const REFUSALS = new Set(['ERR_INVALID_OPTION', 'ERR_LIMIT', 'ERR_PAYLOAD', 'ERR_KVM_CAPABILITY'])

const CODE_GPA = 0x1000
/** The stack stays in memory: what pops several words from a device's registers is not saved exactly (docs/snapshots.md). */
const REGISTERS = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'r8', 'rflags']

/**
 * What reads a time, or what nobody can know: rdtsc, rdtscp, rdpmc, rdrand, rdseed, and the registers that show a clock (0x10, 0xe7, 0xe8, 0x6e0, KVM's own) as
 * immediate values.
 */
const TIMED =
  /0f31|0f01f9|0f33|0fc7|b91000|b9e[78]0000|b9e006|b9(00|01)4d56|b9(11|12|00|01)0000004|b9[0-9a-f]{2}004b56/

/** Ports and pages of the irqchip that show a time: the PIT, and the local APIC's timer. */
const CLOCKS = new Set([0x40, 0x61, 0x70, 0xfee0_0000])

/** Ends each run that nothing else ends. */
const LIMIT_MS = 2

function timeless(random, mode, places) {
  for (;;) {
    const code = program(random, mode, places)
    if (!TIMED.test(code)) return code
  }
}

function registers(random) {
  const names = REGISTERS.filter(() => random.oneIn(3))
  const values = names.map((name) => [name, random.wide()])
  const fixed = { rsp: '0x8000', rbp: '0x8000', rip: `0x${CODE_GPA.toString(16)}` }
  return { ...Object.fromEntries(values), ...fixed }
}

/** A stretch of a guest's life: what is done before a run, after how many questions it is stopped, and what follows it. */
function stretch(random) {
  return {
    questions: random.oneIn(3) ? random.between(1, 40) : random.between(1, 6),
    ...(random.oneIn(2) && { onExit: true }),
    ...(random.oneIn(3) && { nmi: true }),
    ...(random.oneIn(3) && {
      vectors: random.several(random.between(1, 3), () => random.below(256)),
    }),
    ...(random.oneIn(4) && { write: [random.pick([0x500, 0x2000, 0x8000]), random.hex(8)] }),
    ...(random.oneIn(2) && { reply: random.wide() }),
  }
}

/** A machine and its life, as plain JSON. */
export function generate(random) {
  const mode = random.pick(['real', 'protected', 'long', 'long', 'long', 'paged32'])
  const irqchip = random.oneIn(4)
  const all = randomRoutes(random, true)
  const routes = irqchip ? all.filter(({ port }) => !CLOCKS.has(port)) : all
  const places = placesOf(routes)
  if (irqchip) {
    places.ports = places.ports.filter((port) => !CLOCKS.has(port))
    places.memory = places.memory.filter((gpa) => !CLOCKS.has(gpa))
  }
  return {
    mode,
    privilege: mode === 'long' && random.oneIn(2) ? 'user' : 'kernel',
    memoryBytes: random.pick([0x1_0000, 0x8_0000, 0x20_0000]),
    irqchip,
    ...(random.oneIn(4) && { serial: true }),
    ...(random.oneIn(4) && {
      slots: [{ gpa: 0x3000_0000, bytes: 0x1000, readOnly: random.oneIn(2) }],
    }),
    routes,
    code: timeless(random, mode, places),
    registers: registers(random),
    before: random.several(random.between(1, 2), () => stretch(random)),
    after: random.several(random.between(1, 3), () => stretch(random)),
    sync: random.oneIn(2),
    ...(random.oneIn(4) && { attach: true }),
    ...(random.oneIn(3) && { buffer: true }),
    ...(random.oneIn(3) && { saved: true }),
  }
}

/** What a life is seen by, from outside. */
class Tape {
  exits = 0
  questions = []
  results = []
  texts = {}
  posts = {}
  counts = {}
  #left = 0
  #stop

  /** Until the next stretch, so many questions. */
  begin(questions, stop) {
    this.#left = questions
    this.#stop = stop
  }

  ask(...question) {
    this.questions.push(question)
    if (--this.#left === 0) this.#stop()
    // Any value, but each time the same.
    return (this.questions.length * 0x9e37_79b1) >>> 0
  }

  text(place, bytes) {
    this.texts[place] = (this.texts[place] ?? '') + Buffer.from(bytes).toString('hex')
  }

  post(place, batch) {
    const posts = (this.posts[place] ??= [])
    for (const { offset, size, value } of batch) posts.push(`${offset}/${size}/${value}`)
  }

  count(place, count) {
    this.counts[place] = (this.counts[place] ?? 0) + count
  }
}

/** A route of a description, whose handlers write on the tape. */
function taped({ how, ...route }, tape) {
  const place = route.port ?? route.gpa
  const value = route.value === undefined ? {} : { value: BigInt(route.value) }
  const datamatch = route.datamatch === undefined ? {} : { datamatch: BigInt(route.datamatch) }
  const plain = { ...route, ...value, ...datamatch }
  if (route.to === 'device') {
    const device = {
      read: (offset, size) => tape.now.ask('read', place, offset, size),
      write: (...write) => void tape.now.ask('write', place, ...write),
    }
    return { ...plain, device }
  }
  if (how === undefined) return plain
  if (route.to === 'event') return { ...plain, onEvent: (count) => tape.now.count(place, count) }
  if (route.to === 'console') return { ...plain, onData: (bytes) => tape.now.text(place, bytes) }
  return { ...plain, onBatch: (batch) => tape.now.post(place, batch) }
}

function make(task, tape) {
  const { mode, privilege, memoryBytes, irqchip, serial, slots, code, attach } = task
  const image = Buffer.alloc(CODE_GPA + 64, 0xf4)
  Buffer.from(code, 'hex').copy(image, CODE_GPA)
  const payload = { image: new Uint8Array(image), entryGpa: CODE_GPA }
  const routes = task.routes.map((route) => taped(route, tape))
  const [late, ...early] = attach ? routes : [undefined, ...routes]
  const options = { mode, privilege, memoryBytes, irqchip, serial, slots, payload, routes: early }
  try {
    const vm = new VirtualMachine(
      Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    )
    if (late) allow(() => vm.attach(late))
    return vm
  } catch (error) {
    if (error instanceof VmError && REFUSALS.has(error.code)) return undefined
    throw error
  }
}

const bigints = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, BigInt(value)]))

/** A call that a machine may refuse. */
function allow(call) {
  try {
    return call()
  } catch (error) {
    if (!(error instanceof VmError)) throw error
    return undefined
  }
}

/** One stretch; the reason of its end. */
async function live(vm, tape, { questions, onExit, nmi, vectors = [], write, reply }, sync) {
  if (nmi) allow(() => vm.nmi())
  for (const vector of vectors) allow(() => vm.interrupt(vector))
  if (write) vm.memory.write(write[0], new Uint8Array(Buffer.from(write[1], 'hex')))
  tape.now.begin(questions, () => vm.stop())
  const answers = {
    onExit: ({ reason, value, data, ...exit }) => {
      const isRead = reason.endsWith('read') || reason === 'pio-in'
      const answer = tape.now.ask(reason, exit, value, data && Buffer.from(data).toString('hex'))
      return isRead ? answer : undefined
    },
  }
  const options = { timeoutMs: LIMIT_MS, ...(onExit && answers) }
  let result
  try {
    result = await (sync ? vm.runSync(options) : vm.run(options))
  } catch (error) {
    // A value that is missing was not given: the next life has it as missing, too.
    if (error?.code !== 'ERR_UNANSWERED_READ') throw error
    tape.now.results.push('unanswered')
    return 'unanswered'
  }
  const { reason, exit, exitCode, fault, output, exits } = result
  tape.now.exits += exits
  const { where: _where, ...seen } = exit ?? {}
  tape.now.results.push([reason, seen, exitCode, fault, Buffer.from(output).toString('hex')])
  if (reply && (reason === 'pio-in' || reason === 'mmio-read')) vm.reply(BigInt(reply))
  return reason
}

/**
 * RF says whether an instruction was interrupted before it was complete (Intel SDM vol. 3B §17.3.1.1):
 * at an exit, whether the host was, which no state of the guest decides.
 */
const RESUME_FLAG = 1n << 16n

/** The byte with RF of what a fault has pushed onto the trap table's stack (layout.rs). */
const PUSHED_RESUME_FLAG = { gpa: 0xfe00_3fea, bit: 1 }

/** Everything that can be seen of a machine's state, and that a guest decides. */
function stateOf(vm) {
  const names = ['registers', 'specialRegisters', 'fpu', 'xcr0', 'debugRegisters', 'events']
  return vm.vcpus.map((vcpu) => {
    const state = Object.fromEntries(
      names.map((name) => [name, vcpu[name] && allow(() => vcpu[name]())]),
    )
    const { rflags } = state.registers ?? {}
    if (rflags !== undefined)
      state.registers = { ...state.registers, rflags: rflags & ~RESUME_FLAG }
    return state
  })
}

/** A life from here on. */
async function lived(vm, tape, { after, sync }) {
  tape.now = new Tape()
  let reason
  for (const one of after) {
    reason = await live(vm, tape, one, sync)
    if (reason === 'timeout' || reason === 'shutdown') break
  }
  // After a shutdown a vCPU's state is what the KVM makes of it.
  const ends = reason !== 'timeout' && reason !== 'shutdown'
  const end = ends && { state: stateOf(vm), end: vm.snapshot() }
  return { tape: tape.now, isSure: reason !== 'timeout', ...end }
}

/** Where two values differ first, with what is there. */
function difference(one, two, path = '') {
  if (isDeepStrictEqual(one, two)) return undefined
  const inner = [one, two].every((it) => typeof it === 'object' && it !== null)
  const keys = inner ? new Set([...Object.keys(one), ...Object.keys(two)]) : []
  for (const key of keys) {
    const found = difference(one[key], two[key], `${path}.${key}`)
    if (found) return found
  }
  const show = (it) => inspect(it, { breakLength: Infinity, depth: 4 })
  return `${path}: ${show(one)} and ${show(two)}`
}

function same(what, one, two) {
  const found = difference(one, two)
  if (found) throw new Error(`${what} differ at ${found}`)
}

/** What two lives have in common as far as both went. */
function compare(what, one, two) {
  const [a, b] = [one.tape, two.tape]
  if (!one.isSure || !two.isSure) {
    // The guest asks as often as it comes to it.
    const asked = Math.min(a.questions.length, b.questions.length)
    same(`questions of ${what}`, a.questions.slice(0, asked), b.questions.slice(0, asked))
    return
  }
  for (const part of ['questions', 'results', 'texts', 'posts', 'counts', 'exits'])
    same(`${part} of ${what}`, a[part], b[part])
  if (!one.end) return
  same(`states of ${what}`, one.state, two.state)
  for (const page of one.end.diff(two.end)) {
    const { gpa, bit } = PUSHED_RESUME_FLAG
    const isSame = (byte, index) =>
      ((byte ^ page.after[index]) & ~(page.gpa + index === gpa ? bit : 0)) === 0
    const at = page.before.findIndex((byte, index) => !isSame(byte, index))
    if (at < 0) continue
    const [x, y] = [page.before[at], page.after[at]]
    throw new Error(`memory of ${what} differs at 0x${(page.gpa + at).toString(16)}: ${x}, ${y}`)
  }
}

/** A further machine of a snapshot, or of its file. */
async function further(base, tape, task) {
  if (!task.saved) return new VirtualMachine({ snapshot: base })
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-exactness-'))
  try {
    await base.save(join(folder, 'file'))
    const loaded = await Snapshot.load(join(folder, 'file'), { verify: true })
    const places = new Set(loaded.description.routes.map(({ port, gpa }) => port ?? gpa))
    const mine = task.routes.filter(({ port, gpa }) => places.has(port ?? gpa))
    const bound = mine.filter(({ to, how }) => to === 'device' || how !== undefined)
    try {
      const routes = bound.map((route) => taped(route, tape))
      return new VirtualMachine({ snapshot: loaded, routes })
    } finally {
      loaded.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function check(vm, tape, task) {
  const base = vm.snapshot()
  const lives = []
  try {
    if (task.buffer) {
      new Uint8Array(vm.memory.buffer)[0x700] ^= 0xff
      vm.restore(base)
    }
    const before = stateOf(vm)
    lives.push(await lived(vm, tape, task))
    vm.restore(base)
    same('states of a snapshot and a restore', before, stateOf(vm))
    lives.push(await lived(vm, tape, task))
    compare('the first life and the second', lives[0], lives[1])
    const fork = await further(base, tape, task)
    try {
      same('states of a snapshot and a fork', before, stateOf(fork))
      lives.push(await lived(fork, tape, task))
      compare('the first life and a fork', lives[0], lives[2])
    } finally {
      fork.close()
    }
  } finally {
    base.close()
    for (const { end } of lives) end?.close()
  }
}

/** Makes the machine and compares its lives; throws when something is wrong. */
export async function execute(task) {
  const tape = { now: new Tape() }
  const vm = make(task, tape)
  if (!vm) return
  try {
    allow(() => vm.setRegisters(bigints(task.registers)))
    for (const one of task.before) {
      if ((await live(vm, tape, one, task.sync)) === 'shutdown') return
    }
    // Whether a vCPU takes interrupts is known after its first exit; until then it gets on a little before the first one, or does not.
    if (tape.now.exits === 0) return
    await check(vm, tape, task)
  } finally {
    vm.close()
  }
}
