import { writeFileSync } from 'node:fs'
import type { Writable } from 'node:stream'

import type { RunResult } from '../../results/result.ts'
import type { Route } from '../../options/routes.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import { describeWhere } from '../../results/where.ts'
import type { Autopsy } from '../../results/autopsy.ts'
import { autopsyText } from './autopsy-text.ts'
import { UsageError, type Values, exitCodes, printJson } from '../command.ts'
import type { Debugged } from './gdb.ts'
import { textOf } from './image.ts'
import { Kept } from './kept.ts'
import { Profiling } from './profiling.ts'
import { Silence } from './silence.ts'
import { Terminal } from './terminal.ts'
import { traceFileOf } from './trace-file.ts'
import { parseDuration } from '../values.ts'

/**
 * One run of a guest on the command line: its text goes to stdout, or into the document that
 * `--json` prints.
 */
export class Session {
  readonly #values: Values
  readonly #json: boolean
  readonly #kept = new Kept()
  readonly #sink: Writable
  readonly #silence: Silence
  readonly #tracePath: string | undefined

  /** A guest that has printed nothing for `silenceMs` is given up; 0: never. */
  constructor(values: Values, silenceMs = 0) {
    this.#values = values
    this.#json = Boolean(values['json'])
    this.#sink = this.#json ? this.#kept : process.stdout
    // A guest that gdb has halted prints nothing.
    this.#silence = new Silence(values['gdb'] === undefined ? silenceMs : 0)
    this.#tracePath = traceFileOf(values)
  }

  /**
   * Routes whose console text goes to stdout as it is written. A slow reader makes the guest wait.
   */
  wired(routes: readonly Route[] = []): readonly Route[] {
    // What a module made of them is checked where they are used.
    if (!Array.isArray(routes)) return routes
    return routes.map((route: Route) => {
      if (route?.to !== 'console' || route.onData) return route
      const onData = (bytes: Uint8Array): Promise<void> => {
        this.#silence.end()
        return new Promise((done) => this.#sink.write(bytes, () => done()))
      }
      return { ...route, onData }
    })
  }

  /**
   * Runs it, reports how it ended, and returns the exit code. Its serial port gets what is typed
   * only on request. Of its image gdb learns the symbols.
   */
  async run(
    vm: VirtualMachine,
    serial: 'none' | 'shown' | 'typed',
    image?: Uint8Array,
  ): Promise<number> {
    if (textOf(this.#values, 'screenshot') !== undefined && !vm.screen)
      UsageError.raise('--screenshot needs --screen')
    const timeout = textOf(this.#values, 'timeout')
    const limits = timeout === undefined ? {} : { timeoutMs: parseDuration('--timeout', timeout) }
    const profiling = new Profiling(this.#values)
    await this.#showToViewers(vm)
    using trace = this.#tracePath === undefined ? undefined : vm.trace()
    await using gdb = await this.#openToGdb(vm, image)
    const stop = gdb?.stop ?? (() => vm.stop())
    const port = serial === 'none' ? undefined : vm.serial
    using terminal = port && new Terminal(port, this.#sink, stop, serial === 'typed')
    port?.once('data', () => this.#silence.end())
    vm.screen?.once('change', () => this.#silence.end())
    this.#silence.start(stop)
    const result = await (gdb ? gdb.run(limits) : profiling.run(vm, limits))
    this.#silence.end()
    await terminal?.drained()
    // A run that was stopped does not say where; one that has no time does.
    const last = this.#silence.gaveUp ? await vm.run({ timeoutMs: 0 }) : result
    const { where } = last
    const code = this.#exitCode(result)
    const autopsy = isAbnormal(code) ? last.explain() : null
    await this.#save(vm)
    if (this.#tracePath !== undefined) await trace?.save(this.#tracePath)
    this.#shoot(vm)
    await profiling.save()
    if (this.#json)
      printJson({
        ...this.#document(vm, result, where),
        ...profiling.document,
        explain: autopsy,
      })
    else this.#report(vm, result, where, autopsy)
    if (!this.#json) process.stderr.write(profiling.text)
    await gdb?.left()
    return code
  }

  /** What `--vnc` asks for; it ends with the machine. */
  async #showToViewers({ screen }: VirtualMachine): Promise<void> {
    const path = textOf(this.#values, 'vnc')
    if (path === undefined) return
    if (!screen) return UsageError.raise('--vnc shows a screen: add --screen text, or its size')
    await screen.listen({ path })
  }

  /** What `--gdb` asks for; without it, nothing of that is loaded. */
  async #openToGdb(
    vm: VirtualMachine,
    image: Uint8Array | undefined,
  ): Promise<Debugged | undefined> {
    const address = this.#values['gdb'] as string | true | undefined
    const waits = this.#values['wait'] === true
    if (address === undefined)
      return waits ? UsageError.raise('--wait waits for gdb: add --gdb') : undefined
    const { openGdb } = await import('./gdb.ts')
    return await openGdb(vm, { address, waits, image })
  }

  /** What `--snapshot-at-exit` asks for. */
  async #save(vm: VirtualMachine): Promise<void> {
    const path = textOf(this.#values, 'snapshot-at-exit')
    if (path === undefined) return
    using snapshot = vm.snapshot()
    await snapshot.save(path)
  }

  /** What `--screenshot` asks for. */
  #shoot(vm: VirtualMachine): void {
    const path = textOf(this.#values, 'screenshot')
    if (path === undefined || !vm.screen) return
    try {
      writeFileSync(path, vm.screen.png())
    } catch (error) {
      UsageError.raise(`cannot write the screenshot: ${(error as Error).message}`)
    }
  }

  #document(vm: VirtualMachine, result: RunResult, where: RunResult['where']): object {
    const { reason, vcpu, exit, exitCode, exits, durationMs } = result
    const output = this.#kept.bytes
    return {
      reason: this.#silence.gaveUp ? 'silence' : reason,
      vcpu,
      exit,
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(result.fault && { fault: result.fault }),
      where,
      output: output.toString(),
      outputBase64: output.toString('base64'),
      outputDroppedBytes: this.#kept.droppedBytes,
      ...(vm.screen?.kind === 'text' && { screen: vm.screen.text() }),
      registers: vm.vcpus[vcpu ?? 0]!.registers(),
      loaded: vm.loaded,
      exits,
      durationMs,
    }
  }

  #report(
    vm: VirtualMachine,
    result: RunResult,
    where: RunResult['where'],
    autopsy: Autopsy | null,
  ): void {
    const sentence = this.#sentence(result, where)
    if (sentence !== '') process.stderr.write(`vmexit: ${sentence}\n${autopsyText(autopsy)}`)
    if (!this.#values['registers']) return
    const registers = vm.vcpus[result.vcpu ?? 0]!.registers()
    const cells = Object.entries(registers).map(
      ([name, value]) => `${name.padEnd(6)} 0x${value.toString(16).padStart(16, '0')}`,
    )
    for (let index = 0; index < cells.length; index += 3) {
      process.stderr.write(`${cells.slice(index, index + 3).join('  ')}\n`)
    }
  }

  /** Empty for an end that needs no words. */
  #sentence(result: RunResult, where: RunResult['where']): string {
    if (this.#silence.gaveUp)
      return `${this.#silence.describe()}${where ? `; ${describeWhere(where)}` : ''}`
    switch (result.reason) {
      case 'hlt':
      case 'exit-port':
      case 'power-off':
      case 'stopped':
        return ''
      case 'pio-in':
      case 'pio-out':
        return `${result.toString()}; claim it with --port`
      default:
        return result.toString()
    }
  }

  #exitCode({ reason, exitCode }: RunResult): number {
    if (this.#silence.gaveUp) return exitCodes.abnormalGuest
    switch (reason) {
      case 'hlt':
      case 'power-off':
        return exitCodes.fine
      case 'reset':
        return exitCodes.reset
      case 'exit-port':
        return portCode(exitCode ?? 0)
      case 'timeout':
        return exitCodes.timeout
      case 'stopped':
        return exitCodes.interrupted
      default:
        return exitCodes.abnormalGuest
    }
  }
}

/** Ends that are explained; an exit port's code is the guest's own word. */
function isAbnormal(code: number): boolean {
  return code === exitCodes.abnormalGuest || code === exitCodes.timeout
}

/** The low byte, as with a process; a failure stays one. */
function portCode(code: number): number {
  return code === 0 ? exitCodes.fine : code & 0xff || 0xff
}
