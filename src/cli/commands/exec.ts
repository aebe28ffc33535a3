import { realpathSync } from 'node:fs'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'

import { raise } from '../../native/errors.ts'
import { Process, type ProcessOptions, type ProcessResult } from '../../process/index.ts'
import {
  ProgramError,
  type Run,
  UsageError,
  type Values,
  exitCodes,
  printJson,
} from '../command.ts'
import { describeFault } from '../../results/fault.ts'
import { onceReaderLeaves } from '../reader.ts'
import { isVmError } from '../report.ts'
import { autopsyText } from '../session/autopsy-text.ts'
import { textOf } from '../session/image.ts'
import { Kept } from '../session/kept.ts'
import { LastWords, describeMissing } from '../session/missing.ts'
import { type Found, findProgram } from '../session/program.ts'
import { CallLog } from '../strace/log.ts'
import {
  type GivenDirectory,
  parseDirectory,
  parseDuration,
  parseSize,
  parseVariable,
} from '../values.ts'

/** Signals that end this process, and are the program's. */
const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** How long what a program has written may take to be read, after it was ended from outside. */
const PATIENCE_MS = 1000

/** `vmexit exec`. */
export const runExec: Run = async (values, positionals) => {
  const [name, ...args] = positionals
  if (name === undefined)
    return UsageError.raise('exec needs a program: vmexit exec [options] -- PROGRAM [ARGUMENT]…')
  const options = optionsOf(values)
  const found = findProgram(name, args, directoriesOf(values))
  await using run = start(found, options)
  const log = values['syscalls'] ? new CallLog((line) => process.stderr.write(line)) : undefined
  if (log) run.syscalls.set('*', log.handler)
  const [stdout, stderr] = values['json']
    ? [new Kept(), new Kept()]
    : [process.stdout, process.stderr]
  const lastWords = new LastWords()
  const shown = [pass(run.stdout, stdout), pass(run.stderr.pipe(lastWords), stderr)]
  onceReaderLeaves(() => run.stdout.destroy())
  // What cannot be read any more has ended.
  run.stdin.on('error', () => undefined)
  using signals = new PassedOn(run)
  const result = await run.exited
  const isCut = result.reason === 'timeout' || signals.came
  const patience = isCut ? [later(PATIENCE_MS)] : []
  await Promise.race([Promise.all(shown), ...patience])
  process.stdin.unpipe().pause()
  log?.end(result)
  if (stdout instanceof Kept && stderr instanceof Kept) printJson(document(result, stdout, stderr))
  else process.stderr.write(report(found.path, result, lastWords.text))
  const code = signals.code ?? codeOf(result)
  // What still waits for a reader is given up.
  if (isCut && process.stdout.writableLength > 0) process.exit(code)
  return code
}

function optionsOf(values: Values): ProcessOptions {
  const [memory, timeout, cwd] = ['memory', 'timeout', 'cwd'].map((name) => textOf(values, name))
  const variables = ((values['env'] ?? []) as string[]).map(parseVariable)
  return {
    env: Object.fromEntries(variables),
    ...(cwd !== undefined && { cwd }),
    ...(memory !== undefined && { memoryBytes: parseSize('--memory', memory) }),
    ...(timeout !== undefined && { timeoutMs: parseDuration('--timeout', timeout) }),
    stdin: process.stdin,
  }
}

function directoriesOf(values: Values): GivenDirectory[] {
  const given = ((values['dir'] ?? []) as string[]).map((text) => {
    const { host, ...rest } = parseDirectory(text)
    return { ...rest, host: existing(host, text) }
  })
  const twice = given.find(({ guest }, index) => given.findIndex((g) => g.guest === guest) < index)
  return twice ? UsageError.raise(`--dir gives ${twice.guest} twice`) : given
}

function existing(host: string, text: string): string {
  try {
    return realpathSync(host)
  } catch (error) {
    return UsageError.raise(`--dir ${text}: ${(error as Error).message}`)
  }
}

function start({ path, args, files }: Found, options: ProcessOptions): Process {
  try {
    return new Process(path, { ...options, args, files })
  } catch (error) {
    if (!isVmError(error) || error.code !== 'ERR_PAYLOAD') return raise(error)
    return ProgramError.notExecutable(error.message)
  }
}

/** Passes output on; a slow reader makes the program wait. */
async function pass(from: Readable, to: Writable): Promise<void> {
  from.pipe(to, { end: to instanceof Kept })
  // A reader that has left is no failure of the program's.
  await finished(from).catch(() => undefined)
  while (to.writableLength > 0 && !to.destroyed && !to.errored) await soon()
}

const soon = (): Promise<void> => new Promise((done) => setTimeout(done, 1))

/** Keeps nothing alive meanwhile. */
const later = (ms: number): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, ms).unref()
  })

/** Signals that come to this process: the program gets the first, the second one ends it. */
class PassedOn implements Disposable {
  readonly #process: Process
  /** The exit code of a program that was ended for it. */
  code: number | undefined
  #first: NodeJS.Signals | undefined

  constructor(run: Process) {
    this.#process = run
    for (const name of passedOn) process.on(name, this.#pass)
  }

  /** Whether there was one. */
  get came(): boolean {
    return this.#first !== undefined
  }

  readonly #pass = (name: NodeJS.Signals): void => {
    if (this.#first === undefined) this.#process.kill(name)
    else {
      this.code = codeOfSignal(this.#first)
      this.#process.kill()
    }
    this.#first ??= name
  };

  [Symbol.dispose](): void {
    for (const name of passedOn) process.off(name, this.#pass)
  }
}

function codeOfSignal(name: string): number {
  return exitCodes.signalled + (constants.signals[name as NodeJS.Signals] ?? 0)
}

function codeOf({ exitCode, signal, reason }: ProcessResult): number {
  if (reason === 'timeout') return exitCodes.timeout
  return exitCode ?? codeOfSignal(signal ?? '')
}

function document(result: ProcessResult, stdout: Kept, stderr: Kept): object {
  const { exitCode, signal, reason, durationMs, syscalls, refused, fault, autopsy } = result
  return {
    exitCode,
    signal,
    reason,
    durationMs,
    syscalls,
    refused,
    ...(fault && { fault, explain: autopsy }),
    stdout: stdout.bytes.toString(),
    stdoutBase64: stdout.bytes.toString('base64'),
    stdoutDroppedBytes: stdout.droppedBytes,
    stderr: stderr.bytes.toString(),
    stderrBase64: stderr.bytes.toString('base64'),
    stderrDroppedBytes: stderr.droppedBytes,
  }
}

/** What the program does not say itself. */
function report(path: string, result: ProcessResult, lastWords: string): string {
  const { reason, signal, fault, autopsy } = result
  const missing = describeMissing(result, lastWords)
  const lines = [
    ...(fault ? [`${path}: ${signal}, as ${describeFault(fault)}`] : []),
    ...(reason === 'timeout' ? [`${path}: its time is over (--timeout)`] : []),
    ...(missing === '' ? [] : [`${path}: ${missing}`]),
  ]
  const said = lines.map((line) => `vmexit: ${line}\n`).join('')
  return said + (autopsy ? autopsyText(autopsy) : '')
}
