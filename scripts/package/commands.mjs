// Commands, run to their end.
import { spawn } from 'node:child_process'
import { capture, root } from '../run.mjs'

/** Runs a command and returns its output, or throws with it. */
export function must(words, options) {
  const { ok, output } = capture(words, options)
  if (!ok) throw new Error(`${words.join(' ')} failed\n${output.trimEnd()}`)
  return output
}

/** Runs a command while this process goes on, as it must to answer as a registry: `{ code, stdout, stderr }`. */
export function attempt([command, ...args], options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    const texts = ['', '']
    for (const [index, stream] of [child.stdout, child.stderr].entries()) {
      stream.setEncoding('utf8').on('data', (text) => (texts[index] += text))
    }
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ code: code ?? signal, stdout: texts[0], stderr: texts[1] })
    })
  })
}

/** As `attempt`, and throws unless the command succeeds; gives its stdout. */
export async function run(words, options) {
  const { code, stdout, stderr } = await attempt(words, options)
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}\n${stdout}${stderr}`)
  return stdout
}
