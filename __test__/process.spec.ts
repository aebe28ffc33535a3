// How a process with machines ends: when its own work is done, with its own exit code, and leaving
// nothing.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { serialTest } from './fixtures/serial.ts'

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  pid: number
}

/** Runs a scenario to its end; `whenSaid` is called at its first words. */
function runProcess(scenario: string, whenSaid?: (pid: number) => void): Promise<Ended> {
  const script = fileURLToPath(new URL('fixtures/process.mjs', import.meta.url))
  const child = spawn(process.execPath, ['--expose-gc', script, scenario], { timeout: 300_000 })
  const pid = child.pid!
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    whenSaid?.(pid)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, pid }))
  })
}

const scenarios: Record<string, [code: number, stdout: string, stderr?: RegExp]> = {
  'a run that nobody awaits': [5, ''],
  'a run of which only failure is caught': [5, ''],
  'a run that nobody awaits, and own work': [5, 'asked\n'],
  'an awaited run': [5, 'Hello, world!\n'],
  'a run awaited after catch and finally': [5, 'Hello, world!\n'],
  'awaited runs, all and race': [0, 'hlt,hlt\nhlt\n'],
  'an awaited run that a time-out ends': [5, 'timeout\n'],
  'an awaited run that a signal ends': [5, 'TimeoutError\n'],
  'a paused run that nobody awaits': [5, 'paused\n'],
  'a paused run that is awaited, resumed by a timer': [5, 'paused\nstopped\n'],
  'a pause that is awaited, of a run that is not': [5, 'true\n'],
  'an awaited run with promises': [0, 'hlt 20\n'],
  'for await over vm.serial, beside a run': [5, 'A\n'],
  'for await over vm.serial, which close() ends': [5, ''],
  "once(vm.serial, 'data'), before a run": [5, 'A\n'],
  "a listener for 'data', beside a run": [5, 'A\n'],
  "a listener for 'readable', beside a run": [5, 'A\n'],
  'vm.serial, piped beside a run': [5, 'A'],
  'vm.serial, of which nobody keeps the machine': [5, 'A\n'],
  'a listener that is gone, beside a run': [5, ''],
  'a paused reader, beside a run': [5, ''],
  'a reader without a run': [5, ''],
  'vm.serial for writing alone, beside a run': [5, ''],
  'process.exit() during an awaited run': [7, ''],
  'process.exit() in a handler of run': [7, ''],
  'process.exit() in a handler of runSync': [7, ''],
  'an exception during an awaited run': [1, '', /on purpose/],
  'a run that rejects and nobody awaits': [1, '', /ERR_HANDLER/],
  'the end, while a worker spins in run': [5, ''],
  'the end, while a worker spins in runSync': [5, ''],
  'idle machines': [5, ''],
}

for (const [scenario, [code, stdout, stderr]] of Object.entries(scenarios)) {
  serialTest(`exit code ${code}: ${scenario}`, async (t) => {
    const ended = await runProcess(scenario)
    t.like(ended, { code, signal: null, stdout })
    if (stderr) t.regex(ended.stderr, stderr)
    else t.is(ended.stderr, '')
    t.false(existsSync(`/proc/${ended.pid}`))
  })
}

for (const scenario of ['runSync for ever', 'an awaited run for ever', 'a paused run for ever']) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    serialTest(`${signal} kills: ${scenario}`, async (t) => {
      const ended = await runProcess(scenario, (pid) => {
        setTimeout(() => process.kill(pid, signal), 30)
      })
      t.like(ended, { code: null, signal, stdout: 'spinning\n', stderr: '' })
      t.false(existsSync(`/proc/${ended.pid}`))
    })
  }
}
