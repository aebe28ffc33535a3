// npm run test:faults: each system call of each kind of machine fails, once and for ever. Every failure must be a VmError, descriptors and threads
// must be back, and a new machine must run in the same process.
//
//   npm run test:faults                                        all points
//   npm run test:faults -- --few                               one for each call of each scenario; npm test does this
//   npm run test:faults -- 'long / KVM_RUN 0 ENOMEM once'      these points
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { SILENT_MS, watch } from '../fuzz/watch.mjs'
import { sumLine } from '../run.mjs'
import { allPoints, fewPoints, parse, show } from './points.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'vmexit-faults-'))
const shim = join(folder, 'shim.so')

function child(args, onMessage) {
  const flags = ['--expose-gc', here('child.mjs')]
  return watch({
    args: [...flags, ...args],
    env: { LD_PRELOAD: shim },
    silentMs: SILENT_MS,
    onMessage,
  })
}

/** The calls of each scenario, by its name. */
async function plans() {
  const names = []
  const calls = new Map()
  const take = (message) => {
    if (message.names) names.push(...message.names)
    if (message.scenario) calls.set(message.scenario, message.calls)
  }
  await expect(child(['names'], take))
  const first = names.filter((name) => name.startsWith('first'))
  for (const name of first) await expect(child(['plan', name], take))
  await expect(child(['plan', ...names.filter((name) => !first.includes(name))], take))
  return calls
}

async function expect(ending) {
  const trouble = await ending
  if (trouble !== undefined) throw new Error(`without any fault, a scenario ${trouble}`)
}

/** Tries points in one process, as far as it comes; how many it has tried, the last of which may have ended it. */
async function tryPoints(points, report) {
  const file = join(folder, 'points.json')
  writeFileSync(file, JSON.stringify(points))
  let at = -1
  let done = -1
  const trouble = await child(['run', file], (message) => {
    at = message.at ?? at
    if (message.done === undefined) return
    done = message.done
    report(points[done], message)
  })
  if (trouble !== undefined && at >= 0) report(points[at], { fired: 1, wrong: trouble, ended: '' })
  if (trouble !== undefined && at < 0) throw new Error(`no point was tried: the process ${trouble}`)
  return trouble === undefined ? points.length : Math.max(at, done) + 1
}

/** What is about the first machine of a process has a process for each point; the others go on in a new one when a point has ended theirs. */
async function sweep(points, report) {
  const first = points.filter(({ scenario }) => scenario.startsWith('first'))
  for (const point of first) await tryPoints([point], report)
  let rest = points.filter((point) => !first.includes(point))
  while (rest.length > 0) rest = rest.slice(await tryPoints(rest, report))
}

async function choose({ values, positionals }) {
  if (positionals.length > 0) return positionals.map(parse)
  const calls = await plans()
  return [...calls].flatMap(([name, made], turn) =>
    values.few ? fewPoints(name, made, turn) : allPoints(name, made),
  )
}

async function main() {
  const args = parseArgs({
    options: { few: { type: 'boolean' }, verbose: { type: 'boolean' } },
    allowPositionals: true,
  })
  const begin = performance.now()
  execFileSync('cc', ['-O2', '-fPIC', '-shared', '-o', shim, here('shim.c')], { stdio: 'inherit' })
  const points = await choose(args)
  const counts = { passed: 0, failed: 0 }
  let fired = 0
  let scenario
  await sweep(points, (point, { wrong, ended, ...tried }) => {
    if (point.scenario !== scenario) console.error(`${(scenario = point.scenario)} …`)
    if (tried.fired > 0) fired++
    counts[wrong === undefined ? 'passed' : 'failed']++
    if (wrong !== undefined) console.log(`FAILED ${show(point)}\n  ${wrong}`)
    else if (args.values.verbose) console.log(`${show(point)} (${tried.fired} times): ${ended}`)
  })
  const seconds = ((performance.now() - begin) / 1000).toFixed(0)
  console.log(`${points.length} points, ${fired} of them reached, ${seconds} s`)
  console.log(sumLine(counts))
  process.exitCode = counts.failed === 0 && fired > 0 ? 0 : 1
}

try {
  await main()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
