import { resolve } from 'node:path'

import { realize } from '../../definition/realize.ts'
import { take } from '../../native/errors.ts'
import { type DefinedImage, type MachineDefinition, VirtualMachine, guests } from '../../index.ts'
import { native } from '../../native/native.ts'
import { type Run, UsageError, type Values } from '../command.ts'
import { machineOf } from '../definition.ts'
import { readImage, textOf } from '../session/image.ts'
import { Session } from '../session/session.ts'
import { parseDuration } from '../values.ts'

/** `vmexit boot`. */
export const bootKernel: Run = async (values, positionals) => {
  const silenceMs = parseDuration('--silence', textOf(values, 'silence') ?? '60s')
  const session = new Session(values, silenceMs)
  const path = kernelPath(positionals)
  const kernel = readImage(path, 'the kernel')
  const definition: MachineDefinition = {
    pc: true,
    memoryBytes: 512 * 1024 * 1024,
    ...machineOf(values),
    payload: payload(path, kernel, values),
  }
  const read = async (at: string, name: string): Promise<Uint8Array> =>
    name === 'payload.file' ? kernel : readImage(at, 'the initrd')
  const options = await realize(definition, { base: '.', read, guests })
  using vm = new VirtualMachine({ ...options, routes: session.wired(options.routes) })
  return await session.run(vm, 'typed')
}

function kernelPath([path, extra]: readonly string[]): string {
  if (path === undefined) return UsageError.raise('boot needs the path of a kernel')
  if (extra !== undefined) return UsageError.raise(`boot takes one kernel, got '${extra}' too`)
  if (path === '-') return UsageError.raise("boot needs a kernel's path; stdin is its serial port")
  return path
}

/** Command line and initial RAM disk, as far as the format has a place for them. */
function payload(path: string, kernel: Uint8Array, values: Values): DefinedImage {
  const format = take(native.imageFormat(kernel)) as NonNullable<DefinedImage['format']>
  if (format === 'flat')
    UsageError.raise('the kernel has no header of a bzImage, PVH, multiboot or ELF image')
  const initrd = textOf(values, 'initrd')
  const takesCmdline = format === 'bzimage' || format === 'pvh'
  // The shell is on the terminal, and what the kernel says on both.
  const consoles = values['screen'] === undefined ? 'console=ttyS0' : 'console=tty0 console=ttyS0'
  const cmdline = textOf(values, 'cmdline') ?? (takesCmdline ? consoles : undefined)
  return {
    file: resolve(path),
    format,
    ...(cmdline !== undefined && { cmdline }),
    ...(initrd !== undefined &&
      (format === 'multiboot' ? { modules: [{ file: resolve(initrd) }] } : { initrd })),
  }
}
