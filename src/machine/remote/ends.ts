import type { CheckedCard } from '../../options/virtio/network.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { raise } from '../../native/errors.ts'
import { Card } from '../network/card.ts'
import { Passt } from '../network/passt.ts'
import { ConsolePort } from '../streams/console-port.ts'
import { type RemoteEnd, Remotes } from './remotes.ts'

/** What JavaScript answers by requests. */
interface Ends {
  readonly remotes: Remotes
  readonly ports: ReadonlyMap<string | number, ConsolePort>
}

/**
 * Makes the ends of a machine's devices, in the order of the native side. If one cannot be made,
 * the machine is closed.
 */
export function makeEnds(
  machine: NativeMachine,
  network: readonly CheckedCard[],
  names: readonly string[] | undefined,
): Ends {
  const ends: RemoteEnd[] = []
  const ports = new Map<string | number, ConsolePort>()
  try {
    for (const [index, { frames }] of network.entries()) {
      const name = `network[${index}]`
      ends.push(new Card(machine, ends.length, name, frames ?? runPasst(name)))
    }
    for (const [index, name] of [0, ...(names ?? [])].entries()) {
      if (!names) break
      const option = index === 0 ? 'ports' : `ports[${index - 1}]`
      const port = new ConsolePort(machine, ends.length)
      ports.set(name, port)
      ends.push({
        name: option,
        serve: () => port.serve(),
        changed: (mayWait) => port.changed(mayWait),
        close: () => port.finish(),
      })
    }
  } catch (error) {
    for (const end of ends) end.close?.()
    machine.close()
    machine.release()
    return raise(error)
  }
  return { remotes: new Remotes(ends), ports }
}

/** passt, run for a card. Nobody else hears of its end: the guest's link goes down. */
function runPasst(name: string): Passt {
  const passt = new Passt(name)
  passt.on('error', ({ message }) => process.emitWarning(`${name}: ${message}`))
  return passt
}
