import type { MachineView, Supervisor } from '../../supervisor/interface.ts'
import { ManagerError } from '../../supervisor/errors.ts'
import { ERROR, fail } from '../errors.ts'
import type { Domain } from '../xdr/types.ts'

/**
 * The machine that a client means: its UUID says which. A name may look like a UUID, and the
 * supervisor looks for names first; so what is found is the right one, or is looked for.
 */
export function machineOf(supervisor: Supervisor, { name, uuid }: Domain): MachineView {
  const found = lookedUp(supervisor, uuid)
  const view = found?.uuid === uuid ? found : supervisor.list().find((each) => each.uuid === uuid)
  return view ?? fail(ERROR.noDomain, `no machine has the UUID ${uuid} (${name})`)
}

/** The machine of a name. */
export function find(supervisor: Supervisor, name: string): MachineView | undefined {
  const view = lookedUp(supervisor, name)
  return view?.name === name ? view : undefined
}

function lookedUp(supervisor: Supervisor, machine: string): MachineView | undefined {
  try {
    return supervisor.find(machine)
  } catch (error) {
    if (error instanceof ManagerError && error.code === 'ERR_NOT_FOUND') return undefined
    throw error
  }
}

/** How a machine is named to a client. */
export function domainOf(view: MachineView): Domain {
  return { name: view.name, uuid: view.uuid, id: isActive(view) ? (view.id ?? 0) : -1 }
}

/** Whether it runs, in libvirt's sense: a paused one does. */
export function isActive({ state }: MachineView): boolean {
  return ['starting', 'running', 'paused', 'stopping'].includes(state)
}

/** The machine, which has to be active. */
export function activeOf(supervisor: Supervisor, domain: Domain): MachineView {
  const view = machineOf(supervisor, domain)
  return isActive(view) ? view : fail(ERROR.operationInvalid, `${view.name} does not run`)
}

/** A machine's state and the reason of it, in libvirt's numbers. */
export interface StateNumbers {
  /** `virDomainState`. */
  readonly state: number
  /** The reason: its meaning depends on the state. */
  readonly reason: number
}

/** `virDomainState`. */
const STATE = { running: 1, paused: 3, shutdown: 4, shutOff: 5 } as const

/** Why a machine is shut off: `virDomainShutoffReason`. */
const OFF = { unknown: 0, shutdown: 1, destroyed: 2, crashed: 3, saved: 5 } as const

/** The state in libvirt's numbers. */
export function stateOf(view: MachineView): StateNumbers {
  switch (view.state) {
    case 'starting':
    case 'running':
      return { state: STATE.running, reason: 1 }
    case 'paused':
      return { state: STATE.paused, reason: 1 }
    case 'stopping':
      return { state: STATE.shutdown, reason: 1 }
    case 'crashed':
      return { state: STATE.shutOff, reason: OFF.crashed }
    case 'defined':
    case 'ended':
      return { state: STATE.shutOff, reason: offReason(view) }
  }
}

function offReason(view: MachineView): number {
  if (view.saved) return OFF.saved
  if (view.state === 'defined') return OFF.unknown
  return view.reason === 'stopped' ? OFF.destroyed : OFF.shutdown
}

/** Refuses flags that nobody here knows. */
export function checkFlags(flags: number, known: number): void {
  const unknown = (flags & ~known) >>> 0
  if (unknown !== 0) {
    fail(ERROR.argumentUnsupported, `unsupported flags (0x${unknown.toString(16)})`)
  }
}
