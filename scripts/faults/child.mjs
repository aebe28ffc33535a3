// The process in which calls fail. `child.mjs names` names the scenarios, `child.mjs plan SCENARIO…` says which calls each of them makes,
// `child.mjs run FILE` tries the points in FILE.
// What it says are lines of JSON; the parent watches them and ends a child that falls silent.
import { readFileSync, writeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

import { VmError } from '../../dist/index.js'
import { census, kvmMappings, overrun } from '../fuzz/census.mjs'
import { errnoOf } from './calls.mjs'
import { arm, count, counted, disarm } from './control.mjs'
import { scenarios } from './scenarios.mjs'
import { forget } from './use.mjs'

/** Rejections and exceptions that were not caught. */
const stray = []
process.on('unhandledRejection', (error) => stray.push(error))
process.on('uncaughtException', (error) => stray.push(error))

const say = (message) => void writeSync(1, `${JSON.stringify(message)}\n`)

const show = (error) =>
  error instanceof Error
    ? `${error.code ?? error.name}: ${error.message} (${error.call} ${error.errno})`
    : String(error)

const isFirst = (name) => name.startsWith('first')

async function callsOf(name) {
  count()
  await scenarios[name]().finally(() => turn())
  return counted()
}

/** What `calls` has that `others` has not, or has less often. */
function without(calls, others) {
  const rest = [...others]
  return calls.filter((call) => {
    const at = rest.indexOf(call)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}

/** The calls that a scenario makes when all is well; where it is about the first machine of a process, those that no other makes. */
async function plan(name) {
  const first = await callsOf(name)
  const second = await callsOf(name)
  say({ scenario: name, calls: isFirst(name) ? without(first, second) : second })
}

/** What is wrong with how a scenario ended whose call has failed; undefined when nothing is. */
function judge({ call, error: name }, outcome, expected) {
  if (stray.length > 0) return `nobody caught ${stray.splice(0).map(show).join('; ')}`
  if ('error' in outcome) {
    const { error } = outcome
    if (!(error instanceof VmError))
      return `no VmError: ${show(error)} ${error?.cause?.stack ?? ''}`
    if (call === 'pthread_create' && (error.code !== 'ERR_LIMIT' || error.call !== call))
      return `a thread that cannot start is no limit: ${show(error)}`
    const named =
      error.errno === undefined ? error.code !== 'ERR_KVM_IOCTL' : error.errno === errnoOf(name)
    return named ? undefined : `another error than ${name}: ${show(error)}`
  }
  // A call that fails may cost time, so that a run ends by its limit, but it must not change in silence what the guest or the host sees.
  const same = outcome.came === expected || /timeout/.test(outcome.came)
  return same ? undefined : `came out as '${outcome.came}' instead of '${expected}'`
}

const attempt = (name) =>
  scenarios[name]().then(
    (came) => ({ came }),
    (error) => ({ error }),
  )

/** What a scenario needs to be judged by: how it ends when all is well, and what the process holds then. */
async function known(name) {
  await scenarios[name]()
  const expected = await scenarios[name]()
  await scenarios.long()
  forget()
  globalThis.gc()
  await turn()
  return { expected, before: census() }
}

async function tryPoint(point, state) {
  arm(point)
  const outcome = await attempt(point.scenario)
  await turn()
  const fired = disarm()
  // What was the first in its process is judged by what comes second.
  const { remembered, expected, before } =
    state ?? (await known(point.scenario).catch((error) => ({ remembered: show(error) })))
  if (remembered) return { fired, wrong: `remembered: ${remembered}`, ended: show(outcome.error) }
  let wrong = judge(point, outcome, expected)
  wrong ??= await overrun(before)
  if (kvmMappings() > 0) wrong ??= `${kvmMappings()} mappings of kvm_run are left`
  forget()
  const again = await attempt('long')
  if (!again.came?.startsWith('hlt Hello'))
    wrong ??= `no machine after it: ${show(again.error ?? again.came)}`
  return { fired, wrong, ended: outcome.came ?? show(outcome.error) }
}

async function run(points) {
  let state
  let scenario
  for (const [index, point] of points.entries()) {
    say({ at: index })
    if (point.scenario !== scenario && !isFirst(point.scenario)) {
      state = await known(point.scenario)
      scenario = point.scenario
    }
    say({ done: index, ...(await tryPoint(point, state)) })
  }
}

const [what, ...rest] = process.argv.slice(2)
if (what === 'names') say({ names: Object.keys(scenarios) })
else if (what === 'plan') for (const name of rest) await plan(name)
else await run(JSON.parse(readFileSync(rest[0], 'utf8')))
say({ over: true })
