// Commands, run to their end from the repository's root.
import { spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { start } from './scope.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))

const OUTPUT_BYTES = 64 * 1024 * 1024
const TAIL_LINES = 50

/** A failure that its message explains in full; it is shown without a stack. */
export class Failure extends Error {}

/** The last lines of a text, for the end of a message. */
export const tail = (text) => text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')

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

/** As `capture`, and gives the output, or throws with it. */
export function must(words, options) {
  const { ok, output } = capture(words, options)
  if (!ok) throw new Failure(`${words.join(' ')} failed\n${output.trimEnd()}`)
  return output
}

/**
 * Runs a command while this process goes on, for `seconds` at most: `{ code, stdout, stderr }`, 124
 * after its time. With `show`, its stderr goes to the terminal.
 */
export async function attempt(words, { seconds, show = false, ...options } = {}) {
  const bound = seconds ? ['timeout', '--kill-after=5', String(seconds)] : []
  const stdio = ['ignore', 'pipe', show ? 'inherit' : 'pipe']
  const { child, ended } = start([...bound, ...words], { cwd: root, stdio, ...options })
  const texts = ['', '']
  for (const [index, stream] of [child.stdout, child.stderr].entries()) {
    stream?.setEncoding('utf8').on('data', (text) => (texts[index] += text))
  }
  const { status, signal } = await ended
  return { code: status ?? signal, stdout: texts[0], stderr: texts[1] }
}

/** As `attempt`, and gives its stdout, or throws with what it said. */
export async function run(words, options) {
  const { code, stdout, stderr } = await attempt(words, options)
  if (code === 0) return stdout
  throw new Failure(`${words.join(' ')} ended with ${code}\n${tail(`${stdout}${stderr}`)}`)
}

/** Hands each line of stdout to `onLine` as it comes; stderr goes through. Resolves to the exit code, 1 for a signal. */
export async function streamLines(words, onLine, env = process.env) {
  const { child, ended } = start(words, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on('line', onLine)
  return (await ended).status ?? 1
}

/** The line that every script closes with, and that .ci/run adds up. */
export function sumLine({ passed, failed, skipped }) {
  const skips = skipped === undefined ? '' : `, ${skipped} skipped`
  return `${passed} passed, ${failed} failed${skips}`
}
