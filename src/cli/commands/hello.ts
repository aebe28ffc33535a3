import { paint } from '../../bench/paint.ts'
import { native } from '../../native/native.ts'
import type { CpuMode, EndReason, Privilege } from '../../native/words.ts'
import { VirtualMachine, guests } from '../../index.ts'
import { type Run, UsageError, type Values, exitCodes, printJson } from '../command.ts'
import { textOf } from '../session/image.ts'
import { parseWord } from '../values.ts'
import { words } from '../words.ts'

/** What `hello --json` says of one mode. */
interface HelloResult {
  mode: CpuMode
  privilege: Privilege
  supported: boolean
  reason: EndReason
  output: string
  rax: string
  memory400: string
  ok: boolean
  exits: number
  durationMs: number
}

const everyMode: readonly [CpuMode, Privilege][] = [
  ['real', 'kernel'],
  ['protected', 'kernel'],
  ['paged32', 'kernel'],
  ['long', 'kernel'],
  ['long', 'user'],
]

/** Time enough for any machine that runs at all. */
const timeoutMs = 30_000

/** `vmexit hello`. */
export const runHello: Run = async (values, positionals) => {
  if (positionals.length > 0) UsageError.raise(`hello takes no argument, got '${positionals[0]}'`)
  const results = chosen(values).map(([mode, privilege]) => sayHello(mode, privilege))
  const backend = native.hostBackend()
  if (values['json']) printJson({ backend, results })
  else process.stdout.write(`hello on ${backend}\n${results.map(describe).join('')}`)
  const fine = results.every(({ ok, supported }) => ok || !supported)
  return fine ? exitCodes.fine : exitCodes.abnormalGuest
}

function chosen(values: Values): readonly (readonly [CpuMode, Privilege])[] {
  const [modeText, privilegeText] = [textOf(values, 'mode'), textOf(values, 'privilege')]
  const mode = modeText === undefined ? undefined : parseWord('--mode', words.modes, modeText)
  const wanted =
    privilegeText === undefined
      ? undefined
      : parseWord('--privilege', words.privileges, privilegeText)
  if (mode) return [[mode, wanted ?? 'kernel']]
  return everyMode.filter(([, privilege]) => wanted === undefined || privilege === wanted)
}

function sayHello(mode: CpuMode, privilege: Privilege): HelloResult {
  using vm = new VirtualMachine({
    mode,
    privilege,
    payload: guests.hello,
    routes: [
      { port: 0xe9, to: 'console' },
      { port: 0xf4, to: 'stop' },
    ],
  })
  const result = vm.runSync({ timeoutMs })
  const { reason, exitCode, outputText: output, exits, durationMs } = result
  const { rax } = vm.registers()
  const memory400 = BigInt(vm.memory.readUint32(0x400))
  const ended = privilege === 'user' ? exitCode === 42 : reason === 'hlt'
  const ok = ended && output === 'Hello, world!\n' && rax === 42n && memory400 === 42n
  if (!ended) process.stderr.write(`vmexit: ${mode}, ${privilege}: ${result.explain()}\n`)
  return {
    mode,
    privilege,
    supported: ok || isSupported(mode, privilege),
    reason,
    output,
    rax: String(rax),
    memory400: String(memory400),
    ok,
    exits,
    durationMs,
  }
}

/** Whether this KVM runs the mode at all: only then is a failing guest our failure. */
function isSupported(mode: CpuMode, privilege: Privilege): boolean {
  const report = native.probeHost()
  const found = 'modes' in report ? report.modes : []
  return found.some(
    (entry) => entry.mode === mode && entry.privilege === privilege && !entry.reason,
  )
}

function describe(result: HelloResult): string {
  const name = `  ${result.mode.padEnd(9)} ${result.privilege.padEnd(6)}  `
  if (!result.supported)
    return `${name}${paint('yellow', 'unsupported')} by this KVM: ${result.reason}\n`
  const verdict = result.ok ? paint('green', 'ok    ') : paint('red', 'FAILED')
  const checks = `RAX = ${result.rax}, [0x400] = ${result.memory400}, ended by ${result.reason}`
  const cost = paint('dim', `${result.exits} exits, ${result.durationMs.toFixed(1)} ms`)
  return `${name}${verdict} ${result.output.trimEnd()}  ${checks}, ${cost}\n`
}
