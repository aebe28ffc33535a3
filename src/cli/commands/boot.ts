import { take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { ImageFormat } from '../../native/words.ts'
import type { Image } from '../../options/payload.ts'
import { VirtualMachine } from '../../machine/virtual-machine.ts'
import { type Run, UsageError, type Values } from '../command.ts'
import { readImage, textOf } from '../session/image.ts'
import { Session } from '../session/session.ts'
import { parseDuration, parseNumber, parseSize } from '../values.ts'

/** `vmexit boot`. */
export const bootKernel: Run = async (values, positionals) => {
  const silenceMs = parseDuration('--silence', textOf(values, 'silence') ?? '60s')
  const session = new Session(values, silenceMs)
  using vm = machine(values, positionals, session)
  return await session.run(vm, 'typed')
}

function machine(values: Values, positionals: readonly string[], session: Session): VirtualMachine {
  const [path, extra] = positionals
  if (path === undefined) return UsageError.raise('boot needs the path of a kernel')
  if (extra !== undefined) return UsageError.raise(`boot takes one kernel, got '${extra}' too`)
  if (path === '-') return UsageError.raise("boot needs a kernel's path; stdin is its serial port")
  return new VirtualMachine({
    pc: true,
    vcpus: parseNumber('--cpus', textOf(values, 'cpus') ?? '1'),
    memoryBytes: parseSize('--memory', textOf(values, 'memory') ?? '512M'),
    payload: payload(readImage(path, 'the kernel'), values),
    routes: session.routes(),
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
