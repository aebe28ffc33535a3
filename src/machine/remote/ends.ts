import type { NativeMachine } from '../../native/seam.ts'
import type { DiskDevice } from '../../options/virtio/disks.ts'
import { RemoteDisk } from './remote-disk.ts'
import { type RemoteEnd, Remotes } from './remotes.ts'

/** What of a machine is answered by requests here, by place; `undefined` for the others. */
export interface Answering {
  readonly disks: readonly (DiskDevice | undefined)[]
}

/** The ends of a machine that is made, in the order of the native side. */
export function remotesOf(machine: NativeMachine, { disks }: Answering): Remotes {
  const ends: RemoteEnd[] = []
  for (const [index, device] of disks.entries()) {
    if (!device) continue
    ends.push(new RemoteDisk(machine, ends.length, `disks[${index}].device`, device))
  }
  return new Remotes(ends)
}
