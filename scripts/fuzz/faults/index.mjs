// Programs of ring 3 that do to the trap table whatever ring 3 can. A fault is reported only where there is one: each instruction is
// known, and with it which exceptions it may raise.
import { VirtualMachine } from '../../../dist/index.js'
import { attack, le } from './attacks.mjs'

const CODE_GPA = 0x1000
const STACK_GPA = 0x8000
const MEMORY_BYTES = 0x2_0000
/** GDT, TSS, IDT and stubs, up to where the processor pushes its frames, and the tables of pages. */
const OURS = [
  [0xfe00_0000, 0x3600],
  [0xfe00_4000, 0x6000],
]
/** What ring 3 has while nothing is wrong. */
const RFLAGS = '0x3002'
/** Ends that are no fault: what KVM cannot do, or cannot report. */
const OTHERS = new Set(['shutdown', 'internal-error', 'fail-entry', 'mmio-read', 'mmio-write'])
const TIMEOUT_MS = 60_000

/** A program: each attack after the number that names it, in R15, and a copy of its RSP, in R13. */
function program(random) {
  const steps = []
  let at = CODE_GPA
  const bytes = []
  for (let index = 0; index < random.between(1, 6); index++) {
    const before = [0x41, 0xbf, ...le(index, 4), 0x49, 0x89, 0xe5]
    const { code, ...expected } = attack(random, at + before.length)
    steps.push({ from: at, ...expected })
    bytes.push(...before, ...code)
    at += before.length + code.length
  }
  // ud2 ends each that comes so far.
  steps.push({ from: at, vectors: [6], at: at + 9 })
  bytes.push(0x41, 0xbf, ...le(steps.length - 1, 4), 0x49, 0x89, 0xe5, 0x0f, 0x0b)
  return { code: Buffer.from(bytes).toString('hex'), steps }
}

/** A machine and its runs, as plain JSON. */
export function generate(random) {
  return {
    restores: random.oneIn(2),
    runs: random.several(random.between(10, 40), () => program(random)),
  }
}

function ours(vm) {
  const [first, pages] = OURS.map(([gpa, bytes]) => Buffer.from(vm.memory.read(gpa, bytes)))
  // The processor sets the flags that an entry was used.
  for (let at = 0; at < pages.length; at += 8) pages[at] &= ~0x60
  return [first, pages]
}

/** What is wrong with an end; nothing if it is a true fault, or an ordinary end. */
function wrongWith(vm, result, steps) {
  const registers = vm.registers()
  const step = steps[Number(registers.r15)]
  const { reason, fault, exit } = result
  if (OTHERS.has(reason)) return undefined
  if (!step) return `no step has number ${registers.r15}`
  const { cs, ss } = vm.specialRegisters()
  const isRing3 = (cs.selector & 3) === 3 && (ss.selector & 3) === 3 && cs.dpl === 3
  // A KVM without a processor of its own may take such segments all the same, of which no frame is made.
  if (steps.slice(0, Number(registers.r15) + 1).some(({ isOdd }) => isOdd))
    return reason !== 'fault' || (isRing3 && registers.rip === fault.rip)
      ? undefined
      : 'no place in ring 3'
  if (reason === 'pio-out' || reason === 'pio-in')
    return step.port === exit.port ? undefined : `port ${exit.port} is none of the step's`
  if (reason !== 'fault') return `ended with '${reason}'`
  if (!isRing3) return 'not in ring 3'
  if (registers.rip !== fault.rip) return `RIP is ${registers.rip}`
  // Once RFLAGS.AC is set, a KVM on the host's own CR0.AM checks every access.
  if (fault.vector === 17) return fault.errorCode === 0 ? undefined : 'another error code'
  if (!step.vectors.includes(fault.vector)) return `no vector of the step: ${fault.name}`
  const places = [step.at, step.target].filter((place) => place !== undefined).map(BigInt)
  // A step ends after its instruction: that is where the next one begins.
  if (fault.vector === 1 || fault.vector === 3) return undefined
  if (!places.includes(fault.rip)) return `RIP ${fault.rip.toString(16)} is no place of the step`
  if (step.errorCode !== undefined && ![step.errorCode].flat().includes(fault.errorCode))
    return 'another error code'
  if (step.address !== undefined && fault.address !== BigInt(step.address)) return 'another address'
  if (!step.movesStack && registers.rsp !== registers.r13) return `RSP is ${registers.rsp}`
  return undefined
}

/** Makes the machine and does its runs; throws when something is wrong. */
export async function execute({ restores, runs }) {
  const image = new Uint8Array(MEMORY_BYTES / 2)
  const vm = new VirtualMachine({
    mode: 'long',
    privilege: 'user',
    faults: 'report',
    memoryBytes: MEMORY_BYTES,
    payload: { image, entryGpa: CODE_GPA },
  })
  try {
    const before = ours(vm)
    const initial = vm.specialRegisters()
    const base = vm.snapshot()
    try {
      let isOpen = false
      for (const { code, steps } of runs) {
        // What is left of an instruction that repeats itself goes with a restore alone.
        if (restores || isOpen) vm.restore(base)
        else vm.setSpecialRegisters(initial)
        vm.memory.write(CODE_GPA, new Uint8Array(Buffer.from(code, 'hex')))
        const start = { rip: BigInt(CODE_GPA), rsp: BigInt(STACK_GPA), rflags: BigInt(RFLAGS) }
        vm.setRegisters({ ...start, rdx: 0xfan, rcx: 3n, rsi: 0x4000n, r15: 0n })
        const result = vm.runSync({ timeoutMs: TIMEOUT_MS })
        const wrong = wrongWith(vm, result, steps)
        if (wrong) throw new Error(`${wrong}: ${result}; ${code}`)
        if (result.reason === 'pio-in') vm.reply(0n)
        isOpen = result.exit !== null
      }
    } finally {
      base.close()
    }
    if (ours(vm).some((bytes, index) => !bytes.equals(before[index])))
      throw new Error('the tables have changed')
  } finally {
    vm.close()
  }
}
