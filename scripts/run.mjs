// Child processes, from the repository's root.
import { spawn, spawnSync } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

const OUTPUT_BYTES = 64 * 1024 * 1024

/** Runs to the end and returns `{ ok, output }`, both streams together in `output`. */
export function capture([command, ...args], options = {}) {
  // Through sh, so that stdout and stderr keep their order.
  const result = spawnSync('sh', ['-c', 'exec "$0" "$@" 2>&1', command, ...args], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES,
    ...options,
  })
  const failure = result.error ? `${result.error.message}\n` : ''
  return { ok: result.status === 0, output: `${result.stdout ?? ''}${failure}` }
}

/** Hands each line of stdout to `onLine` as it comes; stderr goes through. Resolves to the exit code, 1 for a signal. */
export function streamLines([command, ...args], onLine, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
    const decoder = new StringDecoder('utf8')
    let rest = ''
    child.stdout.on('data', (chunk) => {
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop()
      for (const line of lines) onLine(line)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (rest !== '') onLine(rest)
      resolve(code ?? 1)
    })
  })
}

/** Runs with this terminal and returns the exit code. */
export function passThrough([command, ...args]) {
  return spawnSync(command, args, { cwd: process.cwd(), stdio: 'inherit' }).status ?? 1
}

/** The line that every script closes with, and that .ci/run adds up. */
export function sumLine({ passed, failed, skipped }) {
  const skips = skipped === undefined ? '' : `, ${skipped} skipped`
  return `${passed} passed, ${failed} failed${skips}`
}
