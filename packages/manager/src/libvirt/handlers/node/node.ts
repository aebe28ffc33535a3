import { ERROR, fail } from '../../errors.ts'
import { MAX_VCPUS } from '../../xml/capabilities.ts'
import type { Handlers } from '../call.ts'
import {
  hostMemory,
  hostName,
  megahertz,
  processorMap,
  processors,
  processorTimes,
} from './host.ts'

/** The version of libvirt whose procedures we know. */
const libvirtVersion = 9_000_000n

/** The processor of the host whose number a client may give, or all. */
const allProcessors = -1

/** `major * 1,000,000 + minor * 1,000 + patch`. */
function versionNumber(version: string): bigint {
  const [major = 0, minor = 0, patch = 0] = version
    .split(/[.+-]/, 3)
    .map((part) => Number(part) || 0)
  return BigInt(major * 1_000_000 + minor * 1000 + patch)
}

interface Field {
  readonly field: string
  readonly value: bigint
}

/** A client first asks how many there are, and then for so many. */
function fields(values: readonly Field[], asked: number): { params: Field[]; nparams: number } {
  const params = asked === 0 ? [] : values.slice(0, Math.max(0, asked))
  return { params, nparams: asked === 0 ? values.length : params.length }
}

/** What the host is, and what it does. */
export const nodeHandlers = {
  connectGetType: () => ({ type: 'vmexit' }),
  connectGetVersion: ({ version }) => ({ hv_ver: versionNumber(version) }),
  connectGetLibVersion: () => ({ lib_ver: libvirtVersion }),
  connectGetHostname: () => ({ hostname: hostName() }),
  connectGetUri: () => ({ uri: 'vmexit:///system' }),
  connectGetMaxVcpus: () => ({ max_vcpus: MAX_VCPUS }),
  nodeGetInfo: () => {
    const cpus = processors()
    const memory = hostMemory().total
    const topology = { nodes: 1, sockets: 1, cores: cpus, threads: 1 }
    return { model: 'x86_64', memory, cpus, mhz: megahertz(), ...topology }
  },
  nodeGetFreeMemory: () => ({ freeMem: hostMemory().free * 1024n }),
  nodeGetCellsFreeMemory: (_call, { startCell, maxcells }) =>
    startCell === 0 && maxcells > 0
      ? { cells: [hostMemory().free] }
      : fail(ERROR.invalidArgument, 'the host has one cell, 0'),
  nodeGetCpuStats: (_call, { cpuNum, nparams }) => {
    const times = processorTimes(cpuNum === allProcessors ? undefined : cpuNum)
    if (times === undefined || cpuNum < allProcessors) {
      return fail(ERROR.invalidArgument, `the host has no processor ${cpuNum}`)
    }
    const { kernel, user, idle } = times
    const values = Object.entries({ kernel, user, idle, iowait: 0n })
    return fields(
      values.map(([field, value]) => ({ field, value })),
      nparams,
    )
  },
  nodeGetMemoryStats: (_call, { cellNum, nparams }) => {
    if (cellNum !== -1 && cellNum !== 0) {
      return fail(ERROR.invalidArgument, 'the host has one cell, 0')
    }
    const values = Object.entries(hostMemory())
    return fields(
      values.map(([field, value]) => ({ field, value: value as bigint })),
      nparams,
    )
  },
  nodeGetCpuMap: (_call, { need_map, need_online }) => {
    const count = processors()
    const cpumap = need_map === 0 ? new Uint8Array() : processorMap(Math.ceil(count / 8))
    return { cpumap, online: need_online === 0 ? 0 : count, ret: count }
  },
  nodeGetSecurityModel: () => ({ model: [], doi: [] }),
  connectGetCpuModelNames: () => ({ models: [], ret: 0 }),
} satisfies Handlers
