// Everything public returns, from whatever handler it is called, and every promise settles. A
// process of its own does the calling and says each step; this one sees where it stands still, and
// ends it.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { kvmTest, runKinds } from './helpers/kvm.ts'
import { stride } from './helpers/speed.ts'

/** Nothing that is called takes longer, even where a busy host gives the process no time. */
const stepMs = 120_000

/** Steps that are told of a process that stands still. */
const toldSteps = 30

interface Ended {
  code: number | null
  stoodStill: boolean
  steps: string[]
  wrong: string[]
  stderr: string
}

/** Plays all scenarios of one kind of run, until the end or a stand-still. */
function play(kind: string): Promise<Ended> {
  const script = fileURLToPath(new URL('fixtures/liveness.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, kind, String(stride(17))])
  const ended: Ended = { code: null, stoodStill: false, steps: [], wrong: [], stderr: '' }
  const giveUp = (): void => {
    ended.stoodStill = true
    child.kill('SIGKILL')
  }
  let watch = setTimeout(giveUp, stepMs)
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    clearTimeout(watch)
    watch = setTimeout(giveUp, stepMs)
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    ended.wrong.push(...lines.filter((line) => line.startsWith('wrong: ')))
    ended.steps = [...ended.steps, ...lines].slice(-toldSteps)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (ended.stderr += text))
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(watch)
      resolve({ ...ended, code })
    })
  })
}

for (const kind of Object.keys(runKinds)) {
  kvmTest(`every call from every handler returns, in every state of ${kind}()`, async (t) => {
    const { code, stoodStill, steps, wrong, stderr } = await play(kind)
    t.false(stoodStill, `stood still after\n${steps.join('\n')}`)
    t.is(code, 0, stderr)
    t.deepEqual(wrong, [])
    t.regex(steps.at(-1) ?? '', /^end: \d+ scenarios, 0 missed$/)
  })
}
