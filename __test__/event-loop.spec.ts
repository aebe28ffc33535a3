// A flooding guest and a slow consumer leave the event loop its turns. Watched from another
// process: what stands still cannot say so itself.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import { kvmTest } from './helpers/kvm.ts'
import { patient } from './helpers/speed.ts'

const fixture = fileURLToPath(new URL('fixtures/flood.ts', import.meta.url))
const kinds = ['queue', 'coalesce', 'event', 'device', 'console', 'onExit', 'machines', 'routes']

/** The longest silence of a process that is well; a case takes less than a second. */
const silenceMs = 240_000

/**
 * How late a timer may be, without the one handler call for which it may have to wait; and how much
 * work of other calls it may wait for.
 */
const lateMs = 200

interface Said {
  case: string
  waits: { late: number; workMs: number }[]
  reasons: string[]
}

/** What the process said until its end; it is killed when it says nothing for long. */
async function watch(kind: string): Promise<Said[]> {
  const child = spawn(process.execPath, ['--import=@oxc-node/core/register', fixture, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = () => child.kill('SIGKILL')
  let timer = setTimeout(kill, silenceMs)
  const said: Said[] = []
  for await (const line of createInterface(child.stdout)) {
    said.push(JSON.parse(line) as Said)
    clearTimeout(timer)
    timer = setTimeout(kill, silenceMs)
  }
  clearTimeout(timer)
  return said
}

async function judge(t: ExecutionContext, kind: string): Promise<void> {
  const said = await watch(kind)
  const last = said.pop()
  t.is(last?.case, 'end', `no word after: ${last?.case ?? 'the start'}`)
  for (const { case: title, waits, reasons } of said) {
    const told = waits.map(({ late, workMs }) => `${late.toFixed(0)} ms after ${workMs} ms of work`)
    t.log(`${title}: ${told.join(', ')}`)
    t.true(
      waits.every(({ late, workMs }) => late <= patient(lateMs) && workMs <= lateMs),
      title,
    )
    t.true(reasons.every((reason) => reason === 'stopped'))
  }
}

for (const kind of kinds) {
  kvmTest(
    `a timer fires beside a flood and a slow consumer: ${kind}`,
    (t) => judge(t, kind),
    test.serial,
  )
}
