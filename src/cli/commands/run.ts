import { dirname, resolve } from 'node:path'

import { Files } from '../../definition/files.ts'
import { realize } from '../../definition/realize.ts'
import { VmError, raise } from '../../native/errors.ts'
// As users import it: a definition's module has the same one, and its handlers are asked.
import { VirtualMachine, type VirtualMachineOptions, guests } from '../../index.ts'
import { type Run, UsageError, type Values, forGdb } from '../command.ts'
import { isObject, machineOf, overridden, payloadOf, readDefinition } from '../definition.ts'
import { readImage, readStdin, textOf } from '../session/image.ts'
import { isVmError } from '../report.ts'
import { Session } from '../session/session.ts'
import { runFrom } from './from.ts'

/** `vmexit run`. */
export const runImage: Run = async (values, positionals) => {
  const session = new Session(values)
  const from = textOf(values, 'from')
  if (from !== undefined) return await runFrom(from, values, positionals, session)
  const definition = theDefinition(values, positionals)
  const options = await optionsOf(definition)
  using vm = machineWith({ ...options, routes: session.wired(options.routes) }, definition)
  return await session.run(vm, serialOf(options), imageOf(options))
}

/** The bytes that it starts. */
function imageOf({ payload }: VirtualMachineOptions): Uint8Array | undefined {
  return 'image' in payload ? payload.image : undefined
}

/** What the command line comes to. */
interface Given {
  readonly definition: unknown
  /** The folder of its paths. */
  readonly base: string
  /** The path of an image that the command line names itself. */
  readonly image: string | undefined
  /** Says an error of a definition that was read from a file. */
  readonly said: (error: unknown) => unknown
}

function theDefinition(values: Values, positionals: readonly string[]): Given {
  const [image, extra] = positionals
  const file = textOf(values, 'file')
  if (image === undefined && file === undefined)
    return UsageError.raise('run needs the path of an image, or - for stdin')
  if (extra !== undefined)
    return UsageError.raise(`run takes one image, got '${extra}' too${forGdb(values)}`)
  const machine = machineOf(values)
  const payload = { ...payloadOf(values), ...(image !== undefined && { file: resolve(image) }) }
  const own = file === undefined ? {} : readDefinition(file)
  const memory = memoryFor(machine.pc === true, own, file)
  const definition = overridden(own, { ...memory, ...machine }, payload)
  if (image === '-' && isObject(definition) && definition['serial'] === true)
    return UsageError.raise('stdin cannot be the image (-) and the serial port (--serial) at once')
  return {
    definition,
    base: file === undefined ? '.' : dirname(resolve(file)),
    image,
    said: (error) => (file === undefined ? error : inFile(error, file, own, values)),
  }
}

/** The memory if neither a flag nor the document determines it. */
function memoryFor(pc: boolean, own: unknown, file: string | undefined): { memoryBytes?: number } {
  const isOpen = isObject(own) && own['memoryBytes'] === undefined
  if (pc && isOpen) return { memoryBytes: 16 * 1024 * 1024 }
  return file === undefined ? { memoryBytes: 2 * 1024 * 1024 } : {}
}

async function optionsOf({ definition, base, image, said }: Given): Promise<VirtualMachineOptions> {
  const files = new Files()
  // An image of the command line may be a pipe, as shells make them.
  const read = async (path: string, name: string): Promise<Uint8Array> => {
    if (image === undefined || name !== 'payload.file') return await files.read(path, name)
    return image === '-' ? await readStdin() : readImage(image)
  }
  try {
    return await realize(definition, { base, read, guests })
  } catch (error) {
    return raise(said(error))
  }
}

function machineWith(options: VirtualMachineOptions, { said }: Given): VirtualMachine {
  try {
    return new VirtualMachine(options)
  } catch (error) {
    return raise(said(error))
  }
}

/** Who asks for COM1 gets a terminal there; a PC has one that is only shown. */
function serialOf({ serial, pc }: VirtualMachineOptions): 'none' | 'shown' | 'typed' {
  if (serial) return 'typed'
  return pc && serial === undefined ? 'shown' : 'none'
}

/** An error in the words of the file; routes beyond its own are those of `--port`. */
function inFile(error: unknown, file: string, own: unknown, values: Values): unknown {
  if (!isVmError(error)) return error
  const routes = isObject(own) ? own['routes'] : []
  const first = Array.isArray(routes) ? routes.length : 0
  const ports = (values['port'] ?? []) as string[]
  const message = error.message
    .replaceAll(/routes\[(\d+)\](?:\.\w+)?/g, (name, index: string) => {
      const port = ports[Number(index) - first]
      return port === undefined ? name : `--port ${port}`
    })
    .replaceAll(/(payload(?:\.modules\[\d+\])?)\.image/g, '$1.file')
  const { call, errno } = error
  return new VmError(error.code, `${file}: ${message}`, { call, errno, cause: error })
}
