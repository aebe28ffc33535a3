import type { MachineStats, MachineView, Supervisor } from '../../supervisor/interface.ts'
import { ManagerError } from '../../supervisor/errors.ts'
import { ERROR, fail } from '../errors.ts'
import { param } from '../xdr/types.ts'
import { sizeOf } from '../xml/normal.ts'
import type { Handlers } from './call.ts'
import { activeOf, checkFlags, isActive, machineOf, stateOf } from './machines.ts'
import { processorMap, processors } from './node/host.ts'

/** `virDomainModificationImpact` and what belongs to vCPUs. */
const IMPACT = { live: 1, config: 2 } as const
const VCPU = { maximum: 4, guest: 8 } as const

/** `virDomainMemoryStatTags`. */
const MEMORY = { balloon: 6, rss: 7 } as const

/** A vCPU that runs, or waits for its machine: `virVcpuState`. */
const VCPU_STATE = { offline: 0, running: 1 } as const

const KIB = 1024

/** What a machine costs; undefined for one that does not run, or ended meanwhile. */
export async function statsOf(
  supervisor: Supervisor,
  view: MachineView,
): Promise<MachineStats | undefined> {
  if (!isActive(view)) return undefined
  try {
    return await supervisor.stats(view.name)
  } catch (error) {
    if (error instanceof ManagerError) return undefined
    throw error
  }
}

/** Processor time in nanoseconds. */
export function processorTime(stats: MachineStats | undefined): bigint {
  return BigInt(Math.round((stats?.cpuMs ?? 0) * 1e6))
}

/** Bytes in KiB, those of the last page that is not full, too. */
export function kib(bytes: number): bigint {
  return BigInt(Math.ceil(bytes / KIB))
}

/** One that would be changed while it runs. */
const fixed = (what: string) => (): never =>
  fail(ERROR.operationUnsupported, `${what} of a machine are changed by its document (virsh edit)`)

/** What is asked of a machine that does not run has to be about its definition. */
function checkImpact(view: MachineView, flags: number): void {
  if ((flags & IMPACT.live) !== 0 && !isActive(view)) {
    fail(ERROR.operationInvalid, `${view.name} does not run`)
  }
}

/** The bytes of a map of processors for each of so many vCPUs. */
function maps(count: number, maplen: number): Uint8Array {
  const one = processorMap(Math.max(0, maplen))
  const all = new Uint8Array(count * one.length)
  for (let index = 0; index < count; index++) all.set(one, index * one.length)
  return all
}

/** At most as many vCPUs as a machine has; a map has no more bytes than processors need. */
function checkMaps(count: number, maplen: number): void {
  const most = Math.ceil(Math.max(processors(), 1) / 8) + 1024
  if (count < 0 || maplen < 0 || maplen > most) {
    fail(ERROR.invalidArgument, `a map of processors has at most ${most} bytes`)
  }
}

/** What a machine is and does. */
export const factHandlers = {
  domainGetState: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    return stateOf(machineOf(supervisor, dom))
  },
  domainGetInfo: async ({ supervisor }, { dom }) => {
    const view = machineOf(supervisor, dom)
    const { memoryBytes, vcpus } = sizeOf(view)
    const memory = kib(memoryBytes)
    const cpuTime = processorTime(await statsOf(supervisor, view))
    return { state: stateOf(view).state, maxMem: memory, memory, nrVirtCpu: vcpus, cpuTime }
  },
  domainGetMaxMemory: ({ supervisor }, { dom }) => ({
    memory: kib(sizeOf(machineOf(supervisor, dom)).memoryBytes),
  }),
  domainGetMaxVcpus: ({ supervisor }, { dom }) => ({
    num: sizeOf(activeOf(supervisor, dom)).vcpus,
  }),
  domainGetOsType: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return { type: 'hvm' }
  },
  domainGetVcpusFlags: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, IMPACT.live | IMPACT.config | VCPU.maximum)
    const view = machineOf(supervisor, dom)
    checkImpact(view, flags)
    return { num: sizeOf(view).vcpus }
  },
  domainGetVcpus: async ({ supervisor }, { dom, maxinfo, maplen }) => {
    checkMaps(maxinfo, maplen)
    const view = activeOf(supervisor, dom)
    const { vcpus } = sizeOf(view)
    const time = processorTime(await statsOf(supervisor, view)) / BigInt(vcpus)
    const count = Math.min(vcpus, maxinfo)
    const info = Array.from({ length: count }, (_, number) => ({
      number,
      state: VCPU_STATE.running,
      cpu_time: time,
      // Which processor it is on, the kernel decides anew all the time.
      cpu: -1,
    }))
    return { info, cpumaps: maps(count, maplen) }
  },
  domainGetVcpuPinInfo: ({ supervisor }, { dom, ncpumaps, maplen, flags }) => {
    checkFlags(flags, IMPACT.live | IMPACT.config)
    checkMaps(ncpumaps, maplen)
    const view = machineOf(supervisor, dom)
    checkImpact(view, flags)
    const num = Math.min(sizeOf(view).vcpus, ncpumaps)
    return { cpumaps: maps(num, maplen), num }
  },
  domainSetVcpus: fixed('the vCPUs'),
  domainSetVcpusFlags: fixed('the vCPUs'),
  domainSetMemory: fixed('the bytes of memory'),
  domainSetMemoryFlags: fixed('the bytes of memory'),
  domainSetMaxMemory: fixed('the bytes of memory'),
  domainMemoryStats: async ({ supervisor }, { dom, maxStats, flags }) => {
    checkFlags(flags, 0)
    const view = activeOf(supervisor, dom)
    const stats = await statsOf(supervisor, view)
    const values = [
      { tag: MEMORY.balloon, val: kib(sizeOf(view).memoryBytes) },
      { tag: MEMORY.rss, val: kib(stats?.rssBytes ?? 0) },
    ]
    return { stats: values.slice(0, maxStats) }
  },
  domainGetCpuStats: async ({ supervisor }, { dom, nparams, start_cpu, flags }) => {
    checkFlags(flags, 0)
    const view = activeOf(supervisor, dom)
    if (start_cpu !== -1) {
      return fail(ERROR.operationUnsupported, 'processor time is known in total only: --total')
    }
    const time = processorTime(await statsOf(supervisor, view))
    const params = nparams === 0 ? [] : [param.uhyper('cpu_time', time)]
    return { params, nparams: 1 }
  },
  domainIsActive: ({ supervisor }, { dom }) => ({
    active: isActive(machineOf(supervisor, dom)) ? 1 : 0,
  }),
  domainIsPersistent: ({ supervisor }, { dom }) => ({
    persistent: machineOf(supervisor, dom).persistent ? 1 : 0,
  }),
  domainIsUpdated: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return { updated: 0 }
  },
  domainGetControlInfo: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    activeOf(supervisor, dom)
    return { state: 0, details: 0, stateTime: 0n }
  },
  domainGetSecurityLabel: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return { label: [], enforcing: 0 }
  },
  domainGetSecurityLabelList: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return { labels: [], ret: 0 }
  },
} satisfies Handlers
