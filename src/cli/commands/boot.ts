import { resolve } from 'node:path'

import { realize } from '../../definition/realize.ts'
import { take } from '../../native/errors.ts'
import {
  type DefinedImage,
  type Disk,
  type MachineDefinition,
  VirtualMachine,
  guests,
} from '../../index.ts'
import { native } from '../../native/native.ts'
import { type Run, UsageError, type Values, forGdb } from '../command.ts'
import { machineOf } from '../definition.ts'
import { readImage, textOf } from '../session/image.ts'
import { Session } from '../session/session.ts'
import { parseDuration } from '../values.ts'

/** `vmexit boot`. */
export const bootKernel: Run = async (values, positionals) => {
  const silenceMs = parseDuration('--silence', textOf(values, 'silence') ?? '60s')
  const session = new Session(values, silenceMs)
  const start = startOf(positionals, values)
  const definition: MachineDefinition = {
    pc: true,
    memoryBytes: 512 * 1024 * 1024,
    ...machineOf(values),
    payload: start.payload,
  }
  const read = async (at: string, name: string): Promise<Uint8Array> =>
    name === 'payload.file' ? start.bytes : readImage(at, start.others)
  const { disks = [], ...options } = await realize(definition, { base: '.', read, guests })
  using vm = new VirtualMachine({
    ...options,
    disks: [...start.disks, ...disks],
    routes: session.wired(options.routes),
  })
  return await session.run(vm, 'typed', start.bytes)
}

/** What is started, and the bytes of its image. */
interface Start {
  payload: DefinedImage
  bytes: Uint8Array
  /** What messages call its other files. */
  others: string
  disks: Disk[]
}

function startOf(positionals: readonly string[], values: Values): Start {
  const firmware = textOf(values, 'firmware')
  if (firmware !== undefined) return firmwareOf(firmware, positionals, values)
  if (values['firmware-file'] !== undefined)
    UsageError.raise('--firmware-file goes with --firmware, got a kernel')
  const path = kernelPath(positionals, values)
  const bytes = readImage(path, 'the kernel')
  return { payload: payload(path, bytes, values), bytes, others: 'the initrd', disks: [] }
}

/** Firmware, and the disk from which it boots. */
function firmwareOf(path: string, [disk, extra]: readonly string[], values: Values): Start {
  if (extra !== undefined) UsageError.raise(`boot takes one disk, got '${extra}' too`)
  if (disk === '-') UsageError.raise("boot needs a disk's path; stdin is its serial port")
  for (const name of ['initrd', 'cmdline'])
    if (values[name] !== undefined)
      UsageError.raise(`--${name} goes with a kernel, not with --firmware`)
  const files = ((values['firmware-file'] ?? []) as string[]).map((text) => {
    const [name, file] = text.split(/=(.*)/s)
    return name && file
      ? { name, file: resolve(file) }
      : UsageError.raise(`--firmware-file must be NAME=FILE, got '${text}'`)
  })
  return {
    payload: { file: resolve(path), format: 'firmware', files },
    bytes: readImage(path, 'the firmware'),
    others: 'the file for firmware',
    disks: disk === undefined ? [] : [{ file: resolve(disk) }],
  }
}

function kernelPath([path, extra]: readonly string[], values: Values): string {
  if (path === undefined) return UsageError.raise('boot needs the path of a kernel')
  if (extra !== undefined)
    return UsageError.raise(`boot takes one kernel, got '${extra}' too${forGdb(values)}`)
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
