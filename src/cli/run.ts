import { readFileSync } from 'node:fs'

import type { Exit } from '../exit.ts'
import type { Registers } from '../registers.ts'
import type { RunResult } from '../result.ts'
import type { Route } from '../routes.ts'
import { VirtualMachine } from '../virtual-machine.ts'
import { type Command, UsageError, type Values, exitCodes, printJson } from './command.ts'
import {
  parseDuration,
  parseMode,
  parseNumber,
  parsePort,
  parsePrivilege,
  parseSize,
} from './values.ts'

export const run: Command = {
  help: `Usage: vmexit run IMAGE --mode real|protected|paged32|long [options]

Runs a flat image. Ports go where --port says; an access that no --port claims ends the run. What the
guest writes to console ports goes to stdout, byte for byte.

Options:
  --mode MODE            CPU mode of the first instruction
  --privilege PRIVILEGE  kernel (default) or user; user needs mode long
  --load GPA             where the image lies (default 0)
  --entry GPA            the first instruction (default: --load)
  --memory SIZE          memory from address 0 on, such as 2M (default)
  --port PORT=TARGET     console, stop, discard, count or constant:VALUE; PORT-LAST for several; repeatable
  --timeout DURATION     end the run after this time, such as 5s or 250ms
  --registers            show the registers at the end, on stderr
  --json                 one JSON document instead of the console text
  --help                 show this

Exit codes: the guest's own for a stop port, 0 after hlt, 3 for any other end, 124 for a time-out.

Example:
  vmexit run guest.bin --mode long --port 0xe9=console --port 0xf4=stop --timeout 5s
`,
  options: {
    mode: { type: 'string' },
    privilege: { type: 'string' },
    load: { type: 'string' },
    entry: { type: 'string' },
    memory: { type: 'string' },
    port: { type: 'string', multiple: true },
    timeout: { type: 'string' },
    registers: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(values, positionals) {
    const json = Boolean(values['json'])
    using vm = machine(values, positionals, json)
    const timeout = text(values, 'timeout')
    const limits = timeout === undefined ? {} : { timeoutMs: parseDuration('--timeout', timeout) }
    const result = await vm.run(limits)
    const registers = vm.registers()
    if (json) printJson(document(result, registers))
    else report(result, values['registers'] ? registers : undefined)
    return exitCode(result)
  },
}

function machine(values: Values, positionals: readonly string[], json: boolean): VirtualMachine {
  const [path, extra] = positionals
  if (path === undefined) return UsageError.raise('run needs the path of an image')
  if (extra !== undefined) return UsageError.raise(`run takes one image, got '${extra}' too`)
  const mode = text(values, 'mode')
  if (mode === undefined)
    return UsageError.raise('run needs --mode real, protected, paged32 or long')
  const loadGpa = parseNumber('--load', text(values, 'load') ?? '0')
  const entry = text(values, 'entry')
  const entryGpa = entry === undefined ? loadGpa : parseNumber('--entry', entry)
  const ports = (values['port'] ?? []) as string[]
  return new VirtualMachine({
    mode: parseMode(mode),
    privilege: parsePrivilege(text(values, 'privilege') ?? 'kernel'),
    memoryBytes: parseSize('--memory', text(values, 'memory') ?? '2M'),
    payload: { image: readImage(path), loadGpa, entryGpa },
    routes: ports.map((port) => (json ? parsePort(port) : streamed(parsePort(port)))),
  })
}

function text(values: Values, name: string): string | undefined {
  return values[name] as string | undefined
}

function readImage(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    return UsageError.raise(`cannot read the image: ${(error as Error).message}`)
  }
}

/** Console text as it comes; a slow reader makes the guest wait. */
function streamed(route: Route): Route {
  if (route.to !== 'console') return route
  return {
    ...route,
    onData: (bytes: Uint8Array) =>
      new Promise<void>((done) => process.stdout.write(bytes, () => done())),
  }
}

function document(result: RunResult, registers: Registers): object {
  const { reason, exit, exitCode: code, output, outputText, exits, durationMs } = result
  return {
    reason,
    exit,
    ...(code === undefined ? {} : { exitCode: code }),
    output: outputText,
    outputBase64: Buffer.from(output).toString('base64'),
    registers,
    exits,
    durationMs,
  }
}

function report(result: RunResult, registers: Registers | undefined): void {
  if (result.reason === 'timeout') process.stderr.write('vmexit: the time is up\n')
  else if (result.exit && result.reason !== 'hlt' && result.reason !== 'exit-port') {
    process.stderr.write(`vmexit: the run ended with ${describe(result.exit)}\n`)
  }
  if (!registers) return
  const cells = Object.entries(registers).map(
    ([name, value]) => `${name.padEnd(6)} 0x${value.toString(16).padStart(16, '0')}`,
  )
  for (let index = 0; index < cells.length; index += 3) {
    process.stderr.write(`${cells.slice(index, index + 3).join('  ')}\n`)
  }
}

function describe(exit: Exit): string {
  const hex = (value: number): string => `0x${value.toString(16)}`
  switch (exit.reason) {
    case 'pio-out':
    case 'pio-in':
      return `an unclaimed ${exit.reason} at port ${hex(exit.port)}, ${exit.size} bytes; claim it with --port`
    case 'mmio-write':
    case 'mmio-read':
      return `an unclaimed ${exit.reason} at gpa ${hex(exit.gpa)}, ${exit.size} bytes`
    case 'internal-error':
      return `internal-error, suberror ${exit.suberror}, instruction ${Buffer.from(exit.instructionBytes).toString('hex') || 'unknown'}`
    case 'shutdown':
      return 'shutdown (triple fault)'
    default:
      return exit.reason
  }
}

function exitCode({ reason, exitCode: code }: RunResult): number {
  if (reason === 'exit-port') return (code ?? 0) & 0xff
  if (reason === 'timeout') return exitCodes.timeout
  return reason === 'hlt' ? exitCodes.fine : exitCodes.abnormalGuest
}
