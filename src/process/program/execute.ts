import { fail } from '../../native/errors.ts'
import { checkInteger, checkWord } from '../../options/check.ts'
import type { ProcessOptions } from './options.ts'
import { Process } from './process.ts'
import type { ProcessResult } from './result.ts'
import { ProcessSnapshot } from './snapshot.ts'

/**
 * What a program is run with.
 *
 * @category Process
 */
export interface ExecuteOptions extends ProcessOptions {
  /** How its output comes: as text (UTF-8), the default, or as bytes. */
  readonly encoding?: 'utf8' | 'buffer'
  /** Bytes of output and of error output at most, default 64 MiB each; more is `ERR_LIMIT`. */
  readonly maxOutputBytes?: number
}

/**
 * How a program has ended, and what it wrote.
 *
 * @category Process
 */
export interface Executed<T = string> extends ProcessResult {
  /** What it wrote to its standard output. */
  readonly stdout: T
  /** What it wrote to its standard error. */
  readonly stderr: T
}

const DEFAULT_OUTPUT_BYTES = 64 << 20

/**
 * Runs a program to its end, with nothing to read unless option `stdin` gives it something. It
 * resolves whatever the program does.
 *
 * @throws {VmError} As `new Process` and `process.exited`; `ERR_LIMIT` for too much output.
 *
 * @example
 * ```ts
 * import { execute, hostFile } from 'vmexit/process'
 *
 * const files = {
 *   '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
 *   '/in.txt': 'hello',
 * }
 * const { stdout, exitCode } = await execute('/bin/busybox', ['md5sum', '/in.txt'], { files })
 * console.log(exitCode, stdout.trim()) // 0 5d41402abc4b2a76b9719d911017c592  /in.txt
 * ```
 *
 * @category Process
 */
export function execute(
  program: string | Uint8Array | ProcessSnapshot,
  args: readonly string[] | undefined,
  options: ExecuteOptions & { readonly encoding: 'buffer' },
): Promise<Executed<Buffer>>
export function execute(
  program: string | Uint8Array | ProcessSnapshot,
  args?: readonly string[],
  options?: ExecuteOptions,
): Promise<Executed>
export async function execute(
  program: string | Uint8Array | ProcessSnapshot,
  args: readonly string[] = [],
  options: ExecuteOptions = {},
): Promise<Executed<string | Buffer>> {
  const { encoding: word = 'utf8', maxOutputBytes = DEFAULT_OUTPUT_BYTES, ...rest } = options
  const encoding = checkWord('encoding', word, ['utf8', 'buffer'])
  const most = checkInteger('maxOutputBytes', maxOutputBytes, 0, Number.MAX_SAFE_INTEGER)
  const given = { stdin: '', ...rest, ...(args.length > 0 && { args }) }
  await using run =
    program instanceof ProcessSnapshot ? new Process(program, given) : new Process(program, given)
  const [result, stdout, stderr] = await Promise.all([
    run.exited,
    collect(run, 'stdout', most),
    collect(run, 'stderr', most),
  ])
  const shown = (bytes: Buffer): string | Buffer =>
    encoding === 'buffer' ? bytes : bytes.toString('utf8')
  return { ...result, stdout: shown(stdout), stderr: shown(stderr) }
}

async function collect(run: Process, name: 'stdout' | 'stderr', most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of run[name] as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > most) return fail('ERR_LIMIT', `the program wrote over ${most} bytes to ${name}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
