import { Writable } from 'node:stream'

import { take } from '../errors.ts'
import { native } from '../native.ts'
import type { Image, ImageFormat } from '../options.ts'
import type { Registers } from '../registers.ts'
import type { RunResult } from '../result.ts'
import { VirtualMachine } from '../virtual-machine.ts'
import { type Command, UsageError, type Values, exitCodes, printJson } from './command.ts'
import { describeExit } from './describe.ts'
import { readImage, textOf } from './image.ts'
import { Silence } from './silence.ts'
import { Terminal } from './terminal.ts'
import { parseDuration, parseNumber, parseSize } from './values.ts'

const { maxOutputBytes } = native.limits()

/** What a shell calls the end by SIGINT. */
const interruptedCode = 130

export const boot: Command = {
  help: `Usage: vmexit boot KERNEL [options]

Boots a kernel (bzImage, PVH, multiboot or ELF) on a small PC: interrupt controllers, timer, clock, ACPI
power-off, and a serial port that is your terminal. Ctrl-] ends it. In a pipe stdin goes to the serial port
and its output to stdout, byte for byte.

Options:
  --initrd FILE       the initial RAM disk (multiboot: the first module)
  --cmdline TEXT      the kernel's command line (default for Linux: console=ttyS0)
  --memory SIZE       memory from address 0 on, such as 512M (default)
  --cpus N            vCPUs (default 1)
  --timeout DURATION  end it after this time, such as 60s
  --silence DURATION  give up when nothing was printed by then (default 60s; 0s: never), and say where the guest is
  --json              one JSON document at the end, which holds the serial port's text
  --help              show this

Exit codes: 0 after power-off, reset or hlt, 3 when the guest ended abnormally or stayed silent, 124 for a
time-out, 130 after Ctrl-] or a signal.

Example:
  vmexit boot vmlinuz --initrd initramfs.cpio --cmdline 'console=ttyS0 quiet' --cpus 2
`,
  options: {
    initrd: { type: 'string' },
    cmdline: { type: 'string' },
    memory: { type: 'string' },
    cpus: { type: 'string' },
    timeout: { type: 'string' },
    silence: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values, positionals) {
    const json = Boolean(values['json'])
    using vm = machine(values, positionals)
    const timeout = textOf(values, 'timeout')
    const limits = timeout === undefined ? {} : { timeoutMs: parseDuration('--timeout', timeout) }
    const silence = new Silence(vm, parseDuration('--silence', textOf(values, 'silence') ?? '60s'))
    const kept = new Kept()
    using terminal = new Terminal(vm.serial, json ? kept : process.stdout, () => vm.stop())
    const result = await vm.run(limits)
    silence.end()
    await terminal.drained()
    if (json) printJson(document(vm, result, kept, silence))
    else report(vm, result, silence)
    return exitCode(result, silence)
  },
}

/** The serial port's text, for the document. */
class Kept extends Writable {
  #chunks: Buffer[] = []
  #bytes = 0
  /** Bytes that were too many to keep. */
  droppedBytes = 0

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const room = maxOutputBytes - this.#bytes
    const kept = chunk.subarray(0, room)
    this.#chunks.push(kept)
    this.#bytes += kept.length
    this.droppedBytes += chunk.length - kept.length
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }
}

function machine(values: Values, positionals: readonly string[]): VirtualMachine {
  const [path, extra] = positionals
  if (path === undefined) return UsageError.raise('boot needs the path of a kernel')
  if (extra !== undefined) return UsageError.raise(`boot takes one kernel, got '${extra}' too`)
  return new VirtualMachine({
    pc: true,
    vcpus: parseNumber('--cpus', textOf(values, 'cpus') ?? '1'),
    memoryBytes: parseSize('--memory', textOf(values, 'memory') ?? '512M'),
    payload: payload(readImage(path, 'the kernel'), values),
  })
}

/** Command line and initial RAM disk, as far as the format has a place for them. */
function payload(image: Uint8Array, values: Values): Image {
  const format = take(native.imageFormat(image)) as ImageFormat
  if (format === 'flat')
    UsageError.raise('the kernel has no header of a bzImage, PVH, multiboot or ELF image')
  const path = textOf(values, 'initrd')
  const initrd = path === undefined ? undefined : readImage(path, 'the initrd')
  const takesCmdline = format === 'bzimage' || format === 'pvh'
  const cmdline = textOf(values, 'cmdline') ?? (takesCmdline ? 'console=ttyS0' : undefined)
  return {
    image,
    format,
    ...(cmdline !== undefined && { cmdline }),
    ...(initrd && (format === 'multiboot' ? { modules: [{ image: initrd }] } : { initrd })),
  }
}

function document(
  vm: VirtualMachine,
  { reason, vcpu, exit, exits, durationMs }: RunResult,
  kept: Kept,
  silence: Silence,
): object {
  const output = kept.bytes
  return {
    reason: silence.gaveUp ? 'silence' : reason,
    vcpu,
    exit,
    output: output.toString(),
    outputBase64: output.toString('base64'),
    outputDroppedBytes: kept.droppedBytes,
    ...whereabouts(vm, vcpu),
    loaded: vm.loaded,
    exits,
    durationMs,
  }
}

/** Registers, and the bytes of the instruction that comes next. */
function whereabouts(
  vm: VirtualMachine,
  vcpu: number | null,
): { registers: Registers; instructionBytes: Uint8Array } {
  const registers = vm.vcpus[vcpu ?? 0]!.registers()
  // A kernel that has not come far runs where it was put; elsewhere the address means nothing to us.
  const gpa = Number(registers.rip)
  const isMapped = vm.loaded.parts.some(
    (part) => gpa >= part.gpa && gpa < part.gpa + part.memoryBytes,
  )
  return { registers, instructionBytes: isMapped ? vm.memory.read(gpa, 15) : new Uint8Array(0) }
}

function report(vm: VirtualMachine, result: RunResult, silence: Silence): void {
  const { reason, exit, vcpu } = result
  if (reason === 'timeout') process.stderr.write('vmexit: the time is up\n')
  if (!silence.gaveUp && (!exit || isFine(reason))) return
  const { registers, instructionBytes } = whereabouts(vm, vcpu)
  const bytes = Buffer.from(instructionBytes).toString('hex')
  const what = silence.gaveUp ? silence.describe() : `ended with ${describeExit(exit!)}`
  process.stderr.write(
    `vmexit: the guest ${what}; vCPU ${vcpu ?? 0} is at RIP 0x${registers.rip.toString(16)}` +
      `${bytes && `, instruction bytes ${bytes}`}\n`,
  )
}

function isFine(reason: RunResult['reason']): boolean {
  return reason === 'power-off' || reason === 'reset' || reason === 'hlt'
}

function exitCode({ reason }: RunResult, { gaveUp }: Silence): number {
  if (gaveUp) return exitCodes.abnormalGuest
  if (isFine(reason)) return exitCodes.fine
  if (reason === 'timeout') return exitCodes.timeout
  return reason === 'stopped' ? interruptedCode : exitCodes.abnormalGuest
}
