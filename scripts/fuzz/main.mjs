// npm run fuzz: random guests, calls, images, viewers and drivers, until the time is over or too much is found.
//
//   npm run fuzz -- [guests|api|images|exactness|faults|stops|rfb|gdb|http|libvirt|rings]… [--seconds N] [--steps N] [--seed S] [--from STEP] [--findings N]
//   npm run fuzz -- --task FILE…        does again what was kept of a finding
//
// The seed is the commit unless one is given; seed and step make the same task again. A finding is kept as a file of JSON in .cache/fuzz: once it is
// mended, the file moves to __test__/fixtures/fuzz, whose tasks npm test does.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

import { capture, root, sumLine } from '../run.mjs'
import { Random } from './random.mjs'
import { rings } from './virtio/rings.mjs'
import { SILENT_MS, watch } from './watch.mjs'

const FUZZERS = {
  guests: 'guests.mjs',
  api: 'api.mjs',
  images: 'images.mjs',
  exactness: 'exactness/index.mjs',
  faults: 'faults/index.mjs',
  stops: 'stops/index.mjs',
  rfb: 'rfb/index.mjs',
  gdb: 'gdb/index.mjs',
  http: 'http/index.mjs',
  libvirt: 'libvirt/index.mjs',
}
const DEFAULT_SECONDS = 3600
const DEFAULT_FINDINGS = 5
const LAST_STEPS = 3
const SHOWN_CHARACTERS = 500

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
/** A name, or the path of a module that exports `generate` and `execute`. */
const modulePath = (fuzzer) =>
  fuzzer in FUZZERS ? here(FUZZERS[fuzzer]) : pathToFileURL(resolve(fuzzer)).href
const nameOf = (fuzzer) => basename(fuzzer, '.mjs')

function commit() {
  const { ok, output } = capture(['git', 'rev-parse', 'HEAD'])
  return ok ? output.trim() : 'no commit'
}

function child(args, onMessage) {
  return watch({
    args: ['--expose-gc', here('child.mjs'), ...args],
    silentMs: SILENT_MS,
    onMessage,
  })
}

/** Says what was found, how to make it again, and what came before it. */
async function tell(fuzzer, seed, { step, wrong, leak }) {
  const { generate } = await import(modulePath(fuzzer))
  const task = (at) => generate(new Random(seed, at))
  const folder = join(root, '.cache', 'fuzz')
  mkdirSync(folder, { recursive: true })
  const file = join(
    folder,
    `${nameOf(fuzzer)}-${String(seed).replaceAll(/\W/g, '-').slice(0, 12)}-${step}.json`,
  )
  const kept = { fuzzer, found: wrong.split('\n')[0], task: task(step) }
  writeFileSync(file, `${JSON.stringify(kept, null, 1)}\n`)
  console.log(
    `FAILED ${nameOf(fuzzer)}, seed ${seed}, step ${step}${leak ? ' or before' : ''}: ${wrong}`,
  )
  const last = Array.from({ length: LAST_STEPS }, (_, index) => step - LAST_STEPS + 1 + index)
  for (const at of last.filter((it) => it >= 0)) {
    console.log(`  step ${at}: ${JSON.stringify(task(at)).slice(0, SHOWN_CHARACTERS)}`)
  }
  console.log(`  again: npm run fuzz -- --task ${file}, or ${fuzzer} --seed ${seed} --from ${step}`)
}

/** Makes steps for so long, or so many, in one process after another where one does not survive; how many, and how many failed. */
async function hunt(fuzzer, { seed, from, seconds, steps, most }) {
  const end = performance.now() + seconds * 1000
  let [next, failed] = [from, 0]
  while (failed < most && performance.now() < end && next - from < steps) {
    let at = next
    const findings = []
    const left = Math.max((end - performance.now()) / 1000, 0)
    const args = [
      modulePath(fuzzer),
      String(seed),
      String(next),
      String(left),
      String(most - failed),
      String(from + steps - next),
    ]
    const trouble = await child(args, (message) => {
      at = message.at ?? at
      if (message.wrong !== undefined) findings.push(message)
    })
    if (trouble !== undefined) findings.push({ step: at, wrong: trouble })
    for (const finding of findings) await tell(fuzzer, seed, finding)
    failed += findings.length
    next = at + 1
  }
  return { steps: next - from, failed }
}

/** Does kept tasks, each in a process of its own. */
async function again(files) {
  let failed = 0
  for (const file of files) {
    const { fuzzer } = JSON.parse(readFileSync(file, 'utf8'))
    let found
    const trouble = await child([modulePath(fuzzer), '--task', resolve(file)], ({ wrong }) => {
      found = wrong ?? found
    })
    const wrong = found ?? trouble
    console.log(
      `${wrong === undefined ? 'ok    ' : 'FAILED'} ${file}${wrong === undefined ? '' : `: ${wrong}`}`,
    )
    if (wrong !== undefined) failed++
  }
  return { passed: files.length - failed, failed }
}

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      seconds: { type: 'string' },
      steps: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string' },
      findings: { type: 'string' },
      task: { type: 'boolean' },
    },
    allowPositionals: true,
  })
  if (values.task) return again(positionals)
  const seed = values.seed ?? process.env.VMEXIT_FUZZ_SEED ?? commit()
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS)
  const steps = Number(values.steps ?? Infinity)
  const from = Number(values.from ?? 0)
  const most = Number(values.findings ?? DEFAULT_FINDINGS)
  const counts = { passed: 0, failed: 0 }
  for (const fuzzer of positionals.length > 0 ? positionals : [...Object.keys(FUZZERS), 'rings']) {
    if (fuzzer === 'rings') {
      counts[rings(seed, values.steps) ? 'passed' : 'failed']++
      continue
    }
    const limits = { seconds, steps, most }
    const { steps: made, failed } = await hunt(fuzzer, { seed, from, ...limits })
    console.log(`${nameOf(fuzzer)}: ${made} steps, ${failed} findings, seed ${seed}`)
    counts[failed === 0 ? 'passed' : 'failed']++
  }
  return counts
}

const counts = await main()
console.log(sumLine(counts))
process.exitCode = counts.failed === 0 ? 0 : 1
