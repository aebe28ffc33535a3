// The process of a fuzzer: `child.mjs MODULE SEED FIRST SECONDS FINDINGS STEPS` makes steps until the time is over, `child.mjs MODULE --task FILE` does one that was
// kept. What it says are lines of JSON; the parent watches them and ends a child that falls silent.
import { randomFill } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { setImmediate as turn, setTimeout as later } from 'node:timers/promises'

import { VirtualMachine, guests } from '../../dist/index.js'
import { census, overrun, residentMiB } from './census.mjs'
import { Random } from './random.mjs'

/** Steps after which what the process holds is what it needs for good: threads that serve all machines, descriptors of Node's own. */
const WARM_STEPS = 20
/** So often is looked whether everything is given back. */
const CHECK_STEPS = 50
/** Part of the time after which memory no longer grows, and what it may grow all the same. */
const WARM_PART = 0.4
const NOISE_MIB = 128
/** The largest images are 16 MiB, and V8 frees on threads of its own, late on a busy host: what leaks stays. */
const LATE_MS = 60_000
const POOL_THREADS = 4

const stray = []
process.on('unhandledRejection', (error) => stray.push(error))
process.on('uncaughtException', (error) => stray.push(error))

let findings = 0

function say(message) {
  if (message.wrong !== undefined) findings++
  writeSync(1, `${JSON.stringify(message)}\n`)
}

const show = (error) =>
  error instanceof Error ? `${error.stack}${error.code ? ` [${error.code}]` : ''}` : String(error)

/** What is wrong with a step, in words. */
async function attempt(fuzzer, task) {
  let wrong
  try {
    await fuzzer.execute(task)
  } catch (error) {
    wrong = show(error)
  }
  await turn()
  if (stray.length > 0) wrong ??= `nobody caught ${stray.splice(0).map(show).join('; ')}`
  return wrong
}

/** Node's pool of threads starts with its first work, and stays. */
function startPool() {
  const jobs = Array.from({ length: POOL_THREADS }, () => {
    return new Promise((resolve) => void randomFill(new Uint8Array(1), () => resolve()))
  })
  return Promise.all(jobs)
}

/** What the first machine brings and the process keeps: a vCPU for the sake of others, the threads of timer and events. */
async function startMachines() {
  try {
    const routes = [{ port: 0x64, to: 'event', onEvent: () => undefined }]
    const vm = new VirtualMachine({ mode: 'long', payload: guests.spin, routes })
    await vm.run({ timeoutMs: 1 })
    vm.close()
  } catch {
    // Not every fuzzer needs KVM.
  }
}

async function settledMiB() {
  for (let index = 0; index < 3; index++) {
    globalThis.gc()
    await turn()
  }
  return residentMiB()
}

async function hunt(fuzzer, seed, first, { seconds, most, steps }) {
  const end = performance.now() + seconds * 1000
  const warmAt = performance.now() + seconds * 1000 * WARM_PART
  let [before, warmMiB] = [undefined, Infinity]
  let step = first
  const due = () => performance.now() < end && findings < most && step - first < steps
  for (; due(); step++) {
    say({ at: step })
    const task = fuzzer.generate(new Random(seed, step))
    const wrong = await attempt(fuzzer, task)
    if (wrong !== undefined) say({ step, wrong })
    if (step - first === WARM_STEPS) before = census()
    if (before && step % CHECK_STEPS === 0) {
      // It waits for as long as silence is taken for a hang.
      const left = await overrun(before, () => {
        say({ at: step })
        globalThis.gc()
      })
      if (left !== undefined)
        say({ step, wrong: `within ${CHECK_STEPS} steps: ${left}`, leak: true })
      before = census()
    }
    if (warmMiB === Infinity && performance.now() > warmAt) warmMiB = await settledMiB()
  }
  let grownMiB = (await settledMiB()) - warmMiB
  const late = performance.now() + LATE_MS
  while (grownMiB > NOISE_MIB && performance.now() < late) {
    say({ at: step })
    await later(100)
    grownMiB = (await settledMiB()) - warmMiB
  }
  if (grownMiB > NOISE_MIB)
    say({ step, wrong: `memory has grown by ${grownMiB.toFixed(0)} MiB`, leak: true })
}

const [path, seed, first, ...limits] = process.argv.slice(2)
const [seconds, most, steps] = limits.map(Number)
const fuzzer = await import(path)
await startPool()
await startMachines()
if (seed === '--task') {
  say({ at: 0 })
  const wrong = await attempt(fuzzer, JSON.parse(readFileSync(first, 'utf8')).task)
  if (wrong !== undefined) say({ step: 0, wrong })
} else await hunt(fuzzer, seed, Number(first), { seconds, most, steps })
say({ over: true })
