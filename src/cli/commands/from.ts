import { Snapshot, VirtualMachine } from '../../index.ts'
import type { Route } from '../../options/routes.ts'
import { UsageError, type Values } from '../command.ts'
import { machineOf } from '../definition.ts'
import type { Session } from '../session/session.ts'
import { parsePort } from '../values.ts'

/** Flags about the run, not the machine, which a snapshot determines. */
const ofTheRun = [
  'from',
  'net',
  'port',
  'timeout',
  'registers',
  'json',
  'snapshot-at-exit',
  'screenshot',
  'profile',
  'symbols',
  'trace',
  'vnc',
  'gdb',
  'wait',
]

/** `vmexit run --from`: a machine that goes on where a snapshot was saved. */
export async function runFrom(
  path: string,
  values: Values,
  positionals: readonly string[],
  session: Session,
): Promise<number> {
  const [image] = positionals
  if (image !== undefined)
    return UsageError.raise(`--from has its own guest; leave out the image '${image}'`)
  const other = Object.keys(values).find((name) => !ofTheRun.includes(name))
  if (other !== undefined)
    return UsageError.raise(`--from determines the machine; leave out --${other}`)
  const ports = ((values['port'] ?? []) as string[]).map((port) => parsePort(port) as Route)
  using snapshot = await Snapshot.load(path)
  const { routes, serial } = snapshot.description
  const given = new Set(ports.map(({ port }) => port))
  // Text goes to stdout, wherever it went when the snapshot was taken.
  const texts = routes.filter(({ to, port }) => to === 'console' && !given.has(port))
  const consoles = texts.map(({ port, gpa, length }) => {
    return { ...(port === undefined ? { gpa } : { port }), length, to: 'console' } as Route
  })
  const { network } = machineOf({ net: values['net'] })
  using vm = new VirtualMachine({
    snapshot,
    routes: session.wired([...consoles, ...ports]),
    ...(network && { network }),
  })
  return await session.run(vm, serial ? 'typed' : 'none')
}
