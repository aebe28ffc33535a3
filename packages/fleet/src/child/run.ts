import { VmError, fromDefinition, type MachineDefinition, Snapshot, VirtualMachine } from 'vmexit'
import type { RunResult, VirtualMachineOptions } from 'vmexit'

import { fleetError } from '../job/error.ts'
import { definitionWith } from '../job/images.ts'
import type { Job, JsonValue } from '../job/job.ts'
import type { Assignment } from './protocol.ts'

const defaultOutputBytes = 1 << 20
const defaultMemoryBytes = 2 << 20
const pcMemoryBytes = 16 << 20

/** The time that runs of machines and programs have taken. */
export interface Clock {
  guestMs: number
}

/** Ends that say where the guest was are explained. */
const sound = new Set(['hlt', 'exit-port', 'power-off', 'stopped'])

/** Runs the machine of a job, and returns what it came to. */
export async function runMachine(assignment: Assignment, clock: Clock): Promise<JsonValue> {
  using vm = await machineOf(assignment, clock)
  const result = await vm.run({ timeoutMs: assignment.timeoutMs })
  return describe(result, assignment.job)
}

/** The machine of a job's definition or snapshot. */
export async function machineOf(assignment: Assignment, clock: Clock): Promise<VirtualMachine> {
  const { job } = assignment
  const vm = job.snapshot
    ? await restored(job.snapshot.hash, assignment)
    : new VirtualMachine(await optionsOf(assignment))
  return timed(vm, clock)
}

/** What this process has read last: jobs that follow each other are often alike. */
let lastOptions: { readonly key: string; readonly options: VirtualMachineOptions } | undefined
let lastSnapshot: { readonly key: string; readonly snapshot: Snapshot } | undefined

async function optionsOf({ job, paths }: Assignment): Promise<VirtualMachineOptions> {
  if (!job.definition)
    throw fleetError('ERR_INVALID_OPTION', 'the job has no definition and no snapshot')
  const definition = definitionWith(job.definition, (hash) => pathOf(hash, paths))
  const key = JSON.stringify(definition)
  if (lastOptions?.key !== key) {
    const options = await fromDefinition(definition as unknown as MachineDefinition, { base: '/' })
    lastOptions = { key, options }
  }
  const { options } = lastOptions
  const { memoryBytes = options.pc ? pcMemoryBytes : defaultMemoryBytes, slots = [] } = options
  checkMemory(job, memoryBytes, slots)
  return options
}

async function restored(hash: string, { job, paths }: Assignment): Promise<VirtualMachine> {
  if (lastSnapshot?.key !== hash) {
    lastSnapshot?.snapshot.close()
    lastSnapshot = undefined
    lastSnapshot = { key: hash, snapshot: await Snapshot.load(pathOf(hash, paths)) }
  }
  const { snapshot } = lastSnapshot
  const { memoryBytes, slots, disks, network } = snapshot.description
  // They would be files and networks of this host, by the word of those who made the snapshot.
  if (disks.length > 0 || network.length > 0)
    throw fleetError('ERR_SNAPSHOT', 'a job takes no snapshot of a machine with disks or network')
  checkMemory(job, memoryBytes, slots)
  return new VirtualMachine({ snapshot })
}

/** Where content is. */
export function pathOf(hash: string, paths: Readonly<Record<string, string>>): string {
  const path = paths[hash]
  if (path === undefined) throw fleetError('ERR_PAYLOAD', `${hash} was not fetched`)
  return path
}

function checkMemory(
  { limits }: Job,
  memoryBytes: number,
  slots: readonly { readonly bytes: number }[],
): void {
  const total = slots.reduce((sum, { bytes }) => sum + bytes, memoryBytes)
  const most = limits?.memoryBytes
  if (most !== undefined && total > most)
    throw fleetError('ERR_LIMIT', `the machine has ${total} bytes of memory, limits say ${most}`)
}

/** Counts the time of its runs, its module's and ours. */
function timed(vm: VirtualMachine, clock: Clock): VirtualMachine {
  const run = vm.run.bind(vm)
  const runSync = vm.runSync.bind(vm)
  const count = (result: RunResult): RunResult => {
    clock.guestMs += result.durationMs
    return result
  }
  return Object.defineProperties(vm, {
    run: { value: async (...given: Parameters<typeof run>) => count(await run(...given)) },
    runSync: { value: (...given: Parameters<typeof runSync>) => count(runSync(...given)) },
  })
}

function describe(result: RunResult, { limits }: Job): JsonValue {
  const most = limits?.maxOutputBytes ?? defaultOutputBytes
  const { reason, exitCode, output, exits, durationMs } = result
  return {
    reason,
    ...(exitCode !== undefined && { exitCode }),
    output: new TextDecoder().decode(output.subarray(0, most)),
    ...(output.length > most && { outputCutBytes: output.length - most }),
    registers: Object.fromEntries(
      Object.entries(result.registers).map(([name, value]) => [name, String(value)]),
    ),
    exits,
    durationMs,
    ...(!sound.has(reason) && { explain: explained(result) }),
  }
}

function explained(result: RunResult): string {
  try {
    return String(result.explain())
  } catch (error) {
    return error instanceof VmError ? error.message : String(error)
  }
}
