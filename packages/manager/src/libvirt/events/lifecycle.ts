import type { ManagerEvent, Supervisor } from '../../supervisor/interface.ts'
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
  unpaused: [4, 0],
  shutDown: [5, 0],
  destroyed: [5, 1],
  crashed: [5, 2],
  saved: [5, 4],
  finished: [6, 0],
} as const

type Step = keyof typeof LIFE

/** Reasons of an end that somebody outside the guest wanted. */
const KILLED = new Set(['stopped', 'killed', 'destroyed', 'SIGKILL', 'SIGTERM'])

/** Turns what the supervisor tells into what libvirt's clients know. */
export class Translator {
  readonly #supervisor: Supervisor
  /** UUIDs of machines that were defined, to tell an update from an addition. */
  readonly #defined: Set<string>
  /** Ids of machines that run or ran last, by UUID. */
  readonly #ids = new Map<string, number>()

  constructor(supervisor: Supervisor) {
    this.#supervisor = supervisor
    const all = supervisor.list()
    this.#defined = new Set(all.map(({ uuid }) => uuid))
    for (const { uuid, id } of all) if (id !== undefined) this.#ids.set(uuid, id)
  }

  /** In the order in which a client is to see them. */
  translate(event: ManagerEvent): DomainEvent[] {
    const dom = this.#domainOf(event)
    if (event.type === 'reset') return [{ kind: 'reboot', dom }]
    return this.#steps(event).map((step) => {
      const [number, detail] = LIFE[step]
      return { kind: 'lifecycle', dom, event: number, detail }
    })
  }

  #steps(event: ManagerEvent): Step[] {
    switch (event.type) {
      case 'defined': {
        const isKnown = this.#defined.has(event.uuid)
        this.#defined.add(event.uuid)
        return [isKnown ? 'updated' : 'added']
      }
      case 'undefined':
        this.#defined.delete(event.uuid)
        return ['removed']
      case 'running':
        return [event['restored'] === true ? 'restored' : 'booted']
      case 'restored':
        return ['fromSnapshot']
      case 'paused':
        return ['paused']
      case 'resumed':
        return ['unpaused']
      case 'ended':
        return endOf(event)
      case 'crashed':
        return ['crashed']
      default:
        return []
    }
  }

  /** Its id is that of its run, also while it ends. */
  #domainOf({ machine: name, uuid, type }: ManagerEvent): Domain {
    const now = this.#supervisor.list().find((each) => each.uuid === uuid)?.id
    if (now !== undefined) this.#ids.set(uuid, now)
    const id = now ?? this.#ids.get(uuid) ?? -1
    if (type === 'ended' || type === 'crashed' || type === 'undefined') this.#ids.delete(uuid)
    return { name, uuid, id }
  }
}

function endOf({ reason }: ManagerEvent): Step[] {
  if (reason === 'saved') return ['saved']
  if (reason !== undefined && KILLED.has(reason)) return ['destroyed']
  return ['finished', 'shutDown']
}
