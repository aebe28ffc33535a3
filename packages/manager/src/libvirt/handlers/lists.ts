import type { MachineView, Supervisor } from '../../supervisor/interface.ts'
import { ERROR, fail } from '../errors.ts'
import type { Handlers } from './call.ts'
import { domainOf, find, isActive, machineOf } from './machines.ts'

/** A question about a machine, for the flags of a list. */
type Trait = (view: MachineView, snapshots: number) => boolean

/**
 * `virConnectListAllDomainsFlags`. Those of a group are alternatives, and the groups conditions:
 * a group of which no flag is set is none.
 */
const groups: readonly (readonly [number, Trait][])[] = [
  [
    [1, (view) => isActive(view)],
    [2, (view) => !isActive(view)],
  ],
  [
    [4, (view) => view.persistent],
    [8, (view) => !view.persistent],
  ],
  [
    [16, ({ state }) => state === 'running' || state === 'starting'],
    [32, ({ state }) => state === 'paused'],
    [64, (view) => !isActive(view)],
    [128, ({ state }) => state === 'stopping'],
  ],
  [
    [256, (view) => view.saved],
    [512, (view) => !view.saved],
  ],
  [
    [1024, (view) => view.autostart],
    [2048, (view) => !view.autostart],
  ],
  [
    [0x1000, (_view, snapshots) => snapshots > 0],
    [0x2000, (_view, snapshots) => snapshots === 0],
  ],
  [
    [0x4000, () => false],
    [0x8000, () => true],
  ],
]

const asksForSnapshots = 0x3000

/** The machines that the flags of a list choose. */
export async function listed(supervisor: Supervisor, flags: number): Promise<MachineView[]> {
  const chosen: MachineView[] = []
  for (const view of supervisor.list()) {
    const asks = (flags & asksForSnapshots) !== 0
    const snapshots = asks ? (await supervisor.snapshots(view.name)).length : 0
    const fits = groups.every((group) => {
      const asked = group.filter(([flag]) => (flags & flag) !== 0)
      return asked.length === 0 || asked.some(([, trait]) => trait(view, snapshots))
    })
    if (fits) chosen.push(view)
  }
  return chosen
}

const active = (supervisor: Supervisor): MachineView[] => supervisor.list().filter(isActive)

const inactive = (supervisor: Supervisor): MachineView[] =>
  supervisor.list().filter((view) => !isActive(view))

/** At most as many as a client has room for. */
export function atMost<T>(list: readonly T[], most: number): T[] {
  return list.slice(0, Math.max(0, most))
}

/** Which machines there are, and which one has a name, UUID or number. */
export const listHandlers = {
  connectListAllDomains: async ({ supervisor }, { need_results, flags }) => {
    const chosen = await listed(supervisor, flags)
    return { domains: need_results === 0 ? [] : chosen.map(domainOf), ret: chosen.length }
  },
  connectNumOfDomains: ({ supervisor }) => ({ num: active(supervisor).length }),
  connectNumOfDefinedDomains: ({ supervisor }) => ({ num: inactive(supervisor).length }),
  connectListDomains: ({ supervisor }, { maxids }) => ({
    ids: atMost(active(supervisor), maxids).map((view) => domainOf(view).id),
  }),
  connectListDefinedDomains: ({ supervisor }, { maxnames }) => ({
    names: atMost(inactive(supervisor), maxnames).map(({ name }) => name),
  }),
  domainLookupByName: ({ supervisor }, { name }) => {
    const view = find(supervisor, name)
    if (view === undefined) return fail(ERROR.noDomain, `no machine is called '${name}'`)
    return { dom: domainOf(view) }
  },
  domainLookupByUuid: ({ supervisor }, { uuid }) => ({
    dom: domainOf(machineOf(supervisor, { name: '', uuid, id: -1 })),
  }),
  domainLookupById: ({ supervisor }, { id }) => {
    const view = active(supervisor).find((one) => domainOf(one).id === id)
    return view === undefined
      ? fail(ERROR.noDomain, `no machine that runs has the number ${id}`)
      : { dom: domainOf(view) }
  },
} satisfies Handlers
