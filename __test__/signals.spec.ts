// Runs end although the user's queue of realtime signals has no room: what would wake the vCPU
// needs none of it then.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import test from 'ava'
import { serialTest } from './fixtures/serial.ts'

/** Takes the process all entries of the queue. */
const noQueue = 'ulimit -i 0'
const hasShell = spawnSync('bash', ['-c', noQueue]).status === 0

interface Ended {
  code: number | null
  lines: string[]
  stderr: string
}

function play(mode: string): Promise<Ended> {
  const script = fileURLToPath(new URL('fixtures/signals.mjs', import.meta.url))
  const shell = `${noQueue}; exec "$0" "$@"`
  const child = spawn('bash', ['-c', shell, process.execPath, script, mode], {
    timeout: 300_000,
    killSignal: 'SIGKILL',
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, lines: stdout.trim().split('\n'), stderr }))
  })
}

const spinning = ['kernel', 'user'].flatMap((privilege) => [
  `runSync, ${privilege}: timeout`,
  `run, ${privilege}: timeout`,
  `stop, ${privilege}: stopped`,
  `close, ${privilege}: ERR_VM_CLOSED`,
])
const scenarios: Record<string, [mode: string, lines: string[]]> = {
  'time-outs, stop() and close() end a guest that spins': ['plain', spinning],
  'somebody else may handle the signal, and take the handler back': [
    'handled',
    [...spinning, 'handled: timeout', 'called: true', 'taken back: timeout'],
  ],
}

for (const [title, [mode, lines]] of Object.entries(scenarios)) {
  const name = `with no signal left to queue: ${title}`
  if (hasShell) {
    serialTest(name, async (t) => {
      t.deepEqual(await play(mode), { code: 0, lines, stderr: '' })
    })
  } else {
    test.skip(`${name}: no bash here that knows '${noQueue}'`, () => undefined)
  }
}
