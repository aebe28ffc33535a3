import type { Duplex } from 'node:stream'

import type { DiskDevice } from '../../options/virtio/disks.ts'
import type { CheckedCard } from '../../options/virtio/network.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { raise } from '../../native/errors.ts'
import { Card } from '../network/card.ts'
import { Passt } from '../network/passt.ts'
import { ConsolePort } from '../streams/console-port.ts'
import { RemoteDisk } from './remote-disk.ts'
import { type RemoteEnd, Remotes } from './remotes.ts'

/** Who answers: disks by their places, `undefined` for those that Rust answers, and cards. */
export interface Answering {
  readonly disks: readonly (DiskDevice | undefined)[]
  readonly network: readonly CheckedCard[]
}

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
  { disks, network }: Answering,
  names: readonly string[] | undefined,
): Ends {
  const streams = streamsOf(machine, network)
  const ends: RemoteEnd[] = []
  const ports = new Map<string | number, ConsolePort>()
  for (const [index, device] of disks.entries())
    if (device) ends.push(new RemoteDisk(machine, ends.length, `disks[${index}].device`, device))
  for (const [index, stream] of streams.entries())
    ends.push(new Card(machine, ends.length, `network[${index}]`, stream))
  for (const [index, name] of (names ? [0, ...names] : []).entries()) {
    const port = new ConsolePort(machine, ends.length)
    ports.set(name, port)
    ends.push({
      name: index === 0 ? 'ports' : `ports[${index - 1}]`,
      serve: () => port.serve(),
      changed: (mayWait) => port.changed(mayWait),
      close: () => port.finish(),
    })
  }
  const remotes = new Remotes(ends)
  for (const stream of streams) if (stream instanceof Passt) unclosed.register(remotes, stream)
  return { remotes, ports }
}

/** Ends what runs beside machines that nobody closes. */
const unclosed = new FinalizationRegistry<Passt>((passt) => passt.destroy())

/** What the cards are connected with. */
function streamsOf(machine: NativeMachine, network: readonly CheckedCard[]): Duplex[] {
  const run: Passt[] = []
  try {
    return network.map(({ frames }, index) => {
      if (frames) return frames
      const passt = runPasst(`network[${index}]`)
      run.push(passt)
      return passt
    })
  } catch (error) {
    for (const passt of run) passt.destroy()
    machine.close()
    machine.release()
    return raise(error)
  }
}

/** passt, run for a card. Nobody else hears of its end: the guest's link goes down. */
function runPasst(name: string): Passt {
  const passt = new Passt(name)
  passt.on('error', ({ message }) => process.emitWarning(`${name}: ${message}`))
  return passt
}
