import type { Store } from '../../store/index.ts'
import type { Listeners } from '../listeners.ts'
import type { Spawner } from '../process/spawner.ts'
import type { Backoff } from './restart.ts'

/** What all machines of a supervisor share. */
export interface Context {
  /** What is kept of them. */
  readonly store: Store
  /** Their processes. */
  readonly spawner: Spawner
  /** What happens to them. */
  readonly listeners: Listeners
  /** How restarts wait. */
  readonly backoff: Backoff
  /** For what nobody waits for. */
  readonly log: (line: string) => void
  /** The next number of a start. */
  nextId(): number
  /** Called after the end of a machine that is not kept. */
  vanish(name: string): Promise<void>
}
