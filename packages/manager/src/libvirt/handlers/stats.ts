import type { MachineStats, MachineView, Supervisor } from '../../supervisor/interface.ts'
import { param, type TypedParam } from '../xdr/types.ts'
import { sizeOf } from '../xml/normal.ts'
import type { Handlers } from './call.ts'
import { kib, processorTime, statsOf } from './facts.ts'
import { listed } from './lists.ts'
import { checkFlags, domainOf, isActive, machineOf, stateOf } from './machines.ts'

/** `virDomainStatsTypes`. */
const STATS = { state: 1, cpu: 2, balloon: 4, vcpu: 8, interface: 16, block: 32 } as const

/**
 * `virConnectGetAllDomainStatsFlags`: those of lists, two that change nothing here (backing chains
 * and not waiting), and the wish for an error when a group is not known.
 */
const FLAGS = { lists: 0xffff, idle: 0x6000_0000, enforce: 0x8000_0000 } as const

/** What `vmexit.` has goes with every group: no flag of libvirt's asks for it. */
function exits(stats: MachineStats | undefined): TypedParam[] {
  if (stats === undefined) return []
  const reasons = Object.entries(stats.exitsByReason).map(([reason, count]) =>
    param.uhyper(`vmexit.exits.${reason}`, BigInt(count)),
  )
  return [param.uhyper('vmexit.exits', BigInt(stats.exits)), ...reasons]
}

function vcpus(view: MachineView, stats: MachineStats | undefined): TypedParam[] {
  const count = sizeOf(view).vcpus
  const time = processorTime(stats) / BigInt(count)
  const each = Array.from({ length: isActive(view) ? count : 0 }, (_, index) => [
    param.int(`vcpu.${index}.state`, 1),
    param.uhyper(`vcpu.${index}.time`, time),
  ])
  return [param.uint('vcpu.current', count), param.uint('vcpu.maximum', count), ...each.flat()]
}

function balloon(view: MachineView, stats: MachineStats | undefined): TypedParam[] {
  const memory = kib(sizeOf(view).memoryBytes)
  return [
    param.uhyper('balloon.current', memory),
    param.uhyper('balloon.maximum', memory),
    ...(stats ? [param.uhyper('balloon.rss', kib(stats.rssBytes))] : []),
  ]
}

function blocks({ definition: { disks = [] } }: MachineView): TypedParam[] {
  const each = disks.map(({ file }, index) => [
    param.string(`block.${index}.name`, `vd${String.fromCharCode(0x61 + index)}`),
    param.string(`block.${index}.path`, file),
  ])
  return [param.uint('block.count', disks.length), ...each.flat()]
}

/** The parameters of a machine; `asked` is 0 for all groups. */
async function paramsOf(
  supervisor: Supervisor,
  view: MachineView,
  asked: number,
): Promise<TypedParam[]> {
  const stats = await statsOf(supervisor, view)
  const { state, reason } = stateOf(view)
  const network = view.definition.network?.length ?? 0
  const made: readonly (readonly [number, () => TypedParam[]])[] = [
    [STATS.state, () => [param.int('state.state', state), param.int('state.reason', reason)]],
    [STATS.cpu, () => (stats ? [param.uhyper('cpu.time', processorTime(stats))] : [])],
    [STATS.balloon, () => balloon(view, stats)],
    [STATS.vcpu, () => vcpus(view, stats)],
    [STATS.interface, () => [param.uint('net.count', network)]],
    [STATS.block, () => blocks(view)],
  ]
  const wanted = made.filter(([group]) => asked === 0 || (asked & group) !== 0)
  return [...wanted.flatMap(([, make]) => make()), ...exits(stats)]
}

/** What machines cost and do. */
export const statsHandlers = {
  connectGetAllDomainStats: async ({ supervisor }, { doms, stats, flags }) => {
    checkFlags(flags, FLAGS.lists | FLAGS.idle | FLAGS.enforce)
    const known = Object.values(STATS).reduce((all, group) => all | group, 0)
    if ((flags & FLAGS.enforce) !== 0) checkFlags(stats, known)
    const views =
      doms.length > 0
        ? doms.map((dom) => machineOf(supervisor, dom))
        : await listed(supervisor, flags & FLAGS.lists)
    const retStats = await Promise.all(
      views.map(async (view) => ({
        dom: domainOf(view),
        params: await paramsOf(supervisor, view, stats),
      })),
    )
    return { retStats }
  },
} satisfies Handlers
