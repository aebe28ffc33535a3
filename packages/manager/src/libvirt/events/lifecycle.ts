import type { MachineView, ManagerEvent, Supervisor } from '../../supervisor/interface.ts'
import type { Domain } from '../xdr/types.ts'
import type { DomainEvent } from './callbacks.ts'

/** Events of a machine's life, and their details, by the protocol's numbers. */
const LIFE = {
  added: [0, 0],
  updated: [0, 1],
  removed: [1, 0],
  booted: [2, 0],
  restored: [2, 2],
  fromSnapshot: [2, 3],
  paused: [3, 0],
  pausedAtSnapshot: [3, 5],
  unpaused: [4, 0],
  runsFromSnapshot: [4, 2],
  shutDown: [5, 0],
  destroyed: [5, 1],
  crashed: [5, 2],
  saved: [5, 4],
  failed: [5, 5],
  finished: [6, 0],
} as const

type Step = keyof typeof LIFE

/** Where a start goes on from, as its event says it. */
const STARTS: Readonly<Record<string, Step>> = { saved: 'restored', snapshot: 'fromSnapshot' }

/** Reasons of an end that somebody outside the guest wanted. */
const KILLED = new Set(['stopped', 'SIGKILL', 'SIGTERM'])

/** What is remembered of a machine from one event to the next. */
interface Known {
  /** Of its run, also while it ends. */
  id: number
  /** It is starting, and where from; `undefined` once it runs. */
  starting: Step | undefined
  /** Its run began at a snapshot, which is told once. */
  isFromSnapshot: boolean
}

/** Turns what the supervisor tells into what libvirt's clients know. */
export class Translator {
  readonly #supervisor: Supervisor
  /** Machines that were defined, by UUID. */
  readonly #known = new Map<string, Known>()

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor
    for (const { uuid, id = -1, state } of supervisor.list()) {
      const starting = state === 'starting' ? 'booted' : undefined
      this.#known.set(uuid, { id, starting, isFromSnapshot: false })
    }
  }

  /** In the order in which a client is to see them. */
  translate(event: ManagerEvent): DomainEvent[] {
    const { uuid, machine: name, type } = event
    const before = this.#known.get(uuid)
    const known = before ?? { id: -1, starting: undefined, isFromSnapshot: false }
    this.#known.set(uuid, known)
    known.id = this.#find(uuid)?.id ?? known.id
    const steps = this.#steps(event, known, before !== undefined)
    const dom: Domain = { name, uuid, id: known.id }
    if (type === 'undefined') this.#known.delete(uuid)
    if (type === 'ended' || type === 'crashed') known.id = -1
    if (type === 'reset') return [{ kind: 'reboot', dom }]
    return steps.map((step) => {
      const [number, detail] = LIFE[step]
      return { kind: 'lifecycle', dom, event: number, detail }
    })
  }

  #steps(event: ManagerEvent, known: Known, wasThere: boolean): Step[] {
    switch (event.type) {
      case 'defined':
        return [wasThere ? 'updated' : 'added']
      case 'undefined':
        return ['removed']
      case 'starting':
        known.starting = STARTS[String(event['from'])] ?? 'booted'
        return []
      case 'running':
        return begun(known)
      case 'paused':
        return known.starting === undefined ? ['paused'] : [...begun(known), 'paused']
      case 'resumed':
        return ['unpaused']
      case 'restored':
        return this.#restored(event, known)
      case 'ended':
        known.starting = undefined
        return endOf(event)
      case 'crashed': {
        const { starting } = known
        known.starting = undefined
        return [starting === undefined ? 'crashed' : 'failed']
      }
      default:
        return []
    }
  }

  #restored({ uuid }: ManagerEvent, known: Known): Step[] {
    const { isFromSnapshot } = known
    known.isFromSnapshot = false
    // Its start has told that already.
    if (isFromSnapshot) return []
    return [this.#find(uuid)?.state === 'paused' ? 'pausedAtSnapshot' : 'runsFromSnapshot']
  }

  #find(uuid: string): MachineView | undefined {
    try {
      return this.#supervisor.find(uuid)
    } catch {
      return undefined
    }
  }
}

/** What the first event of a run tells. */
function begun(known: Known): Step[] {
  const step = known.starting ?? 'booted'
  known.starting = undefined
  known.isFromSnapshot = step === 'fromSnapshot'
  return [step]
}

function endOf({ reason }: ManagerEvent): Step[] {
  if (reason === 'saved') return ['saved']
  if (reason !== undefined && KILLED.has(reason)) return ['destroyed']
  return ['finished', 'shutDown']
}
