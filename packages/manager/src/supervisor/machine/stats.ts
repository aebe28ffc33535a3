import type { MachineStats } from '../interface.ts'
import type { Machine } from './machine.ts'
import { useOf } from '../process/proc.ts'

/** What a machine costs and does: what its process tells, and the host of that process. */
export async function statsOf(machine: Machine, machinesInProcess: number): Promise<MachineStats> {
  const told = await machine.ask('ask for the statistics of', 'stats')
  const { process } = machine
  const use = process && useOf(process.pid)
  const routes = Array.isArray(told['routes']) ? (told['routes'] as MachineStats['routes']) : []
  return {
    at: new Date().toISOString(),
    cpuMs: (use?.cpuMs ?? 0) / Math.max(1, machinesInProcess),
    memoryBytes: number(told['memoryBytes']),
    rssBytes: use?.rssBytes ?? 0,
    vcpus: number(told['vcpus']),
    exits: number(told['exits']),
    exitsByReason: (told['exitsByReason'] ?? {}) as MachineStats['exitsByReason'],
    routes,
  }
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
