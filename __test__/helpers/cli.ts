// The command line as a child process.
import { spawn } from 'node:child_process'

export const main = new URL('../../dist/cli/main.js', import.meta.url).pathname

/** How it ended, and what it said. */
export interface Ran {
  code: number | null
  stdout: Buffer
  stderr: string
}

/** Runs it to its end. */
export function vmexit(
  args: readonly string[],
  { env = {}, input = '' }: { env?: NodeJS.ProcessEnv; input?: string | Uint8Array } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } })
    const [out, errors]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    child.on('error', reject)
    child.on('close', (code) =>
      resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(errors).toString() }),
    )
    // It may end without reading.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}

/** Its exit code and its document. */
export async function vmexitJson(
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<[number | null, any]> {
  const { code, stdout } = await vmexit([...args, '--json'], { input })
  return [code, JSON.parse(stdout.toString())]
}
