import { ManagerError } from '../errors.ts'
import type { SnapshotView } from '../interface.ts'
import type { Machine } from './machine.ts'
import type { SnapshotDraft, Snapshots } from '../../store/index.ts'
import { awake, need, still } from './states.ts'

/** How long a state may take to be written: memory and disks are copied. */
const saveMs = 3_600_000

/** Saves the state of a machine as a snapshot; it goes on. */
export function saveSnapshot(
  machine: Machine,
  kept: Snapshots,
  name: string,
  description: string | undefined,
): Promise<SnapshotView> {
  return machine.inTurn(async () => {
    need(machine.name, machine.state, awake, 'take a snapshot of')
    const view = await fill(machine, await kept.begin(name), description)
    machine.tell('snapshot', { snapshot: name })
    return view
  })
}

/** Saves the state of a machine for its next start, and ends it. */
export function saveAndEnd(machine: Machine, kept: Snapshots): Promise<void> {
  return machine.inTurn(async () => {
    need(machine.name, machine.state, awake, 'save')
    // What the guest does after its state was saved would be lost, and its disks would differ.
    if (machine.state === 'running') {
      await machine.askNow('pause', 'pause')
      machine.follow('paused', 'paused')
    }
    await fill(machine, await kept.beginSaved(), undefined)
    await machine.findSaved()
    await machine.endSaved()
  })
}

/** Makes a machine what it was, paused or running: in place when it runs, else by starting it. */
export async function restoreSnapshot(
  machine: Machine,
  kept: Snapshots,
  name: string,
): Promise<void> {
  const { folder, view } = await kept.find(name)
  const paused = view.state === 'paused'
  await machine.inTurn(async () => {
    if (still.includes(machine.state)) await machine.start({ from: folder, paused })
    else await restoreInPlace(machine, folder, paused)
    machine.tell('restored', { snapshot: name })
  })
}

async function restoreInPlace(machine: Machine, folder: string, paused: boolean): Promise<void> {
  // Before, so that not one instruction more than in the snapshot has been executed.
  if (paused && machine.state === 'running') {
    await machine.askNow('pause', 'pause')
    machine.follow('paused', 'paused')
  }
  await machine.askNow('restore', 'restore', { folder }, awake, saveMs)
  if (paused || machine.state !== 'paused') return
  await machine.askNow('resume', 'resume')
  machine.follow('running', 'resumed')
}

async function fill(
  machine: Machine,
  draft: SnapshotDraft,
  description: string | undefined,
): Promise<SnapshotView> {
  try {
    const state = machine.state === 'paused' ? 'paused' : 'running'
    const { folder } = draft
    const about = description === undefined ? {} : { description }
    await machine.askNow('save', 'save', { folder, ...about }, awake, saveMs)
    return await draft.commit({ state, ...about })
  } catch (error) {
    await draft.discard().catch(() => {})
    if (error instanceof ManagerError) throw error
    throw new ManagerError('ERR_SNAPSHOT', (error as Error).message, { cause: error })
  }
}
