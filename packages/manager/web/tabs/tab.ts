import type { Machine } from '../api.ts'
import type { Live } from '../live.ts'
import type { Stats } from '../stats.ts'

/** What a tab is of. */
export interface Of {
  readonly name: string
  readonly live: Live
  readonly stats: Stats
}

/** What a tab shows. */
export interface Tab {
  readonly element: HTMLElement
  /** Told when it is opened, and whenever machines may have changed. */
  readonly update?: (machine: Machine) => void
  /** Lets go of what it holds. */
  readonly stop?: () => void
}

/** Opens a tab. */
export type MakeTab = (of: Of) => Tab

/** Whether a machine has a process that can be looked into. */
export function isAlive({ state }: Machine): boolean {
  return state === 'running' || state === 'paused'
}
