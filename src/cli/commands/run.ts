import { VirtualMachine } from '../../machine/virtual-machine.ts'
import { type Run, UsageError, type Values } from '../command.ts'
import { readImage, readStdin, textOf } from '../session/image.ts'
import { Session } from '../session/session.ts'
import { parseNumber, parseSize, parseWord } from '../values.ts'
import { words } from '../words.ts'

/** `vmexit run`. */
export const runImage: Run = async (values, positionals) => {
  const session = new Session(values)
  const image = await theImage(values, positionals)
  using vm = machine(values, image, session)
  const shown = values['pc'] ? 'shown' : 'none'
  return await session.run(vm, values['serial'] ? 'typed' : shown)
}

async function theImage(values: Values, positionals: readonly string[]): Promise<Uint8Array> {
  const [path, extra] = positionals
  if (path === undefined) return UsageError.raise('run needs the path of an image, or - for stdin')
  if (extra !== undefined) return UsageError.raise(`run takes one image, got '${extra}' too`)
  if (path !== '-') return readImage(path)
  return values['serial']
    ? UsageError.raise('stdin cannot be the image (-) and the serial port (--serial) at once')
    : await readStdin()
}

function machine(values: Values, image: Uint8Array, session: Session): VirtualMachine {
  const [mode, entry] = [textOf(values, 'mode'), textOf(values, 'entry')]
  const format = textOf(values, 'format')
  const has = (name: string): boolean => Boolean(values[name])
  const memory = textOf(values, 'memory') ?? (has('pc') ? '16M' : '2M')
  return new VirtualMachine({
    ...(mode !== undefined && { mode: parseWord('--mode', words.modes, mode) }),
    privilege: parseWord('--privilege', words.privileges, textOf(values, 'privilege') ?? 'kernel'),
    memoryBytes: parseSize('--memory', memory),
    vcpus: parseNumber('--cpus', textOf(values, 'cpus') ?? '1'),
    irqchip: has('irqchip') || has('pc'),
    serial: has('serial') || has('pc'),
    pc: has('pc'),
    payload: {
      image,
      ...(format !== undefined && { format: parseWord('--format', words.formats, format) }),
      loadGpa: parseNumber('--load', textOf(values, 'load') ?? '0'),
      ...(entry !== undefined && { entryGpa: parseNumber('--entry', entry) }),
    },
    routes: session.routes(),
  })
}
