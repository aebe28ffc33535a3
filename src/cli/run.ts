import type { Registers } from '../registers.ts'
import type { RunResult } from '../result.ts'
import type { Route } from '../routes.ts'
import { VirtualMachine } from '../virtual-machine.ts'
import { type Command, UsageError, type Values, exitCodes, printJson } from './command.ts'
import { describeExit } from './describe.ts'
import { readImage, textOf } from './image.ts'
import {
  parseDuration,
  parseFormat,
  parseMode,
  parseNumber,
  parsePort,
  parsePrivilege,
  parseSize,
} from './values.ts'

export const run: Command = {
  help: `Usage: vmexit run IMAGE [--mode real|protected|paged32|long] [options]

Runs a flat image, which needs --mode, or an ELF or multiboot image. Ports go where --port says; an access
that no --port claims ends the run. What the guest writes to console ports goes to stdout, byte for byte.

Options:
  --mode MODE            CPU mode of the first instruction
  --privilege PRIVILEGE  kernel (default) or user; user needs mode long
  --format FORMAT        flat, elf, multiboot, pvh or bzimage (default: what the content says)
  --load GPA             where a flat image lies (default 0)
  --entry GPA            the first instruction (default: --load, or what the image says)
  --memory SIZE          memory from address 0 on, such as 2M (default)
  --port PORT=TARGET     console, stop, discard, count or constant:VALUE; PORT-LAST for several; repeatable
  --timeout DURATION     end the run after this time, such as 5s or 250ms
  --registers            show the registers at the end, on stderr
  --json                 one JSON document, which holds the console text, also as outputBase64
  --help                 show this

Exit codes: the guest's own for a stop port (its low byte; 255 for a multiple of 256), 0 after hlt, 3 for
any other end, 124 for a time-out.

Example:
  vmexit run guest.bin --mode long --port 0xe9=console --port 0xf4=stop --timeout 5s
`,
  options: {
    mode: { type: 'string' },
    privilege: { type: 'string' },
    format: { type: 'string' },
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
    const timeout = textOf(values, 'timeout')
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
  const [mode, entry] = [textOf(values, 'mode'), textOf(values, 'entry')]
  const format = textOf(values, 'format')
  const ports = (values['port'] ?? []) as string[]
  return new VirtualMachine({
    ...(mode !== undefined && { mode: parseMode(mode) }),
    privilege: parsePrivilege(textOf(values, 'privilege') ?? 'kernel'),
    memoryBytes: parseSize('--memory', textOf(values, 'memory') ?? '2M'),
    payload: {
      image: readImage(path),
      ...(format !== undefined && { format: parseFormat(format) }),
      loadGpa: parseNumber('--load', textOf(values, 'load') ?? '0'),
      ...(entry !== undefined && { entryGpa: parseNumber('--entry', entry) }),
    },
    routes: ports.map((port) => (json ? parsePort(port) : streamed(parsePort(port)))),
  })
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
    process.stderr.write(`vmexit: the run ended with ${describeExit(result.exit)}\n`)
  }
  if (!registers) return
  const cells = Object.entries(registers).map(
    ([name, value]) => `${name.padEnd(6)} 0x${value.toString(16).padStart(16, '0')}`,
  )
  for (let index = 0; index < cells.length; index += 3) {
    process.stderr.write(`${cells.slice(index, index + 3).join('  ')}\n`)
  }
}

function exitCode({ reason, exitCode: code }: RunResult): number {
  if (reason === 'exit-port') return portCode(code ?? 0)
  if (reason === 'timeout') return exitCodes.timeout
  return reason === 'hlt' ? exitCodes.fine : exitCodes.abnormalGuest
}

/** The low byte, as with a process; a failure stays one. */
function portCode(code: number): number {
  return code === 0 ? exitCodes.fine : code & 0xff || 0xff
}
