// Programs that run on the host and in a process, and what is compared of the two.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

import type { ExecutionContext } from 'ava'

import { type ExecuteOptions, execute } from '../../../src/process/index.ts'
import { debianTree } from '../debian.ts'
import { kvmTest } from '../kvm.ts'

/** How a program has ended, and what it wrote, a byte a character. */
export interface Outcome {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** What a program is run with, here and there. */
export interface Setting {
  readonly cwd: string
  readonly env?: Record<string, string>
  readonly stdin?: string | Uint8Array
}

/** It ends what hangs. */
const timeoutMs = 600_000

/** Runs a program on the host. */
export function onHost(
  program: string,
  args: readonly string[],
  { cwd, env = {}, stdin = '' }: Setting,
): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd, env, timeout: timeoutMs })
    const written: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (bytes: Buffer) => written[0].push(bytes))
    child.stderr.on('data', (bytes: Buffer) => written[1].push(bytes))
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
    child.on('error', fail)
    child.on('close', (exitCode, signal) => {
      const [stdout, stderr] = written.map((bytes) => Buffer.concat(bytes).toString('latin1'))
      done({ exitCode, signal, stdout: stdout!, stderr: stderr! })
    })
  })
}

/** Runs it in a process; beside the outcome, what was refused. */
export async function inProcess(
  program: string,
  args: readonly string[],
  options: ExecuteOptions,
): Promise<Outcome & { refused: Readonly<Record<string, number>> }> {
  const all = { timeoutMs, ...options, encoding: 'buffer' } as const
  const { exitCode, signal, stdout, stderr, refused } = await execute(program, args, all)
  return {
    exitCode,
    signal,
    stdout: stdout.toString('latin1'),
    stderr: stderr.toString('latin1'),
    refused,
  }
}

/** A program of Debian: the host's, or one of an unpacked package; or why there is none. */
async function debianProgram(path: string, name: string): Promise<string> {
  if (existsSync(path)) return path
  const known = [resolve('.cache/svm', name), resolve('.cache/debian', name, 'tree')]
  const trees = known.some(existsSync) ? known : [await debianTree(name)]
  if (trees[0]!.startsWith('skipped')) return trees[0]!
  const places = trees.flatMap((tree) => [join(tree, path), join(tree, 'usr', path)])
  return places.find(existsSync) ?? `skipped: ${name} has no ${path}`
}

/** A test with a program of a Debian package, skipped where there is none. */
export function programTest(
  title: string,
  [path, name]: readonly [path: string, name: string],
  body: (t: ExecutionContext, program: string) => Promise<void>,
): void {
  kvmTest(title, async (t) => {
    t.timeout(4 * timeoutMs)
    const program = await debianProgram(path, name)
    if (!program.startsWith('skipped')) return body(t, program)
    t.log(program)
    t.pass()
  })
}
