import { ManagerError } from '../errors.ts'
import type { MachineState } from '../interface.ts'

/** What may follow what; whatever is not here cannot happen. */
const next: Readonly<Record<MachineState, readonly MachineState[]>> = {
  defined: ['starting'],
  starting: ['running', 'paused', 'stopping', 'crashed'],
  running: ['paused', 'stopping', 'ended', 'crashed'],
  paused: ['running', 'stopping', 'ended', 'crashed'],
  stopping: ['ended', 'crashed'],
  ended: ['starting'],
  crashed: ['starting'],
}

/** Machines in these states have no process. */
export const still: readonly MachineState[] = ['defined', 'ended', 'crashed']

/** Machines in these states have a guest that can be asked. */
export const awake: readonly MachineState[] = ['running', 'paused']

/** Machines in these states have a process, or are about to. */
export const busy: readonly MachineState[] = ['starting', 'running', 'paused', 'stopping']

const words: Readonly<Record<MachineState, string>> = {
  defined: 'is defined and does not run; start it first',
  starting: 'is starting; wait until it runs, or kill it',
  running: 'is running; stop or kill it first',
  paused: 'is paused; resume it, or kill it',
  stopping: 'is stopping; wait until it has ended, or kill it',
  ended: 'has ended; start it first',
  crashed: 'has crashed; start it first',
}

/** The state after `from`; a fault of this package if nothing leads there. */
export function move(machine: string, from: MachineState, to: MachineState): MachineState {
  if (next[from].includes(to)) return to
  throw new ManagerError(
    'ERR_INTERNAL',
    `machine '${machine}' cannot become ${to} when it is ${from}; report this`,
  )
}

/** Throws `ERR_STATE`, which says what to do, unless the state is one of `allowed`. */
export function need(
  machine: string,
  state: MachineState,
  allowed: readonly MachineState[],
  verb: string,
): void {
  if (allowed.includes(state)) return
  throw new ManagerError('ERR_STATE', `cannot ${verb} machine '${machine}': it ${words[state]}`)
}

/** What a start is told that was not to be any more. */
export function endedAtStart(machine: string): ManagerError {
  return new ManagerError('ERR_STATE', `machine '${machine}' was ended while it was starting`)
}
