import { join } from 'node:path'

import {
  type Disk,
  type MachineDefinition,
  Snapshot,
  VirtualMachine,
  type VirtualMachineOptions,
  fromDefinition,
} from 'vmexit'

import type { Console } from './console.ts'

/** The file of a machine's state in the folder of a snapshot. */
export const memoryFile = 'memory.vmexit'

/** A machine, and what it was made of. */
export interface Made {
  readonly vm: VirtualMachine
  readonly options: VirtualMachineOptions
}

/** Makes a machine of its definition, whose text goes to the console; with `from` of its state. */
export async function make(
  definition: MachineDefinition,
  console: Console,
  from?: string,
): Promise<Made> {
  const options = await fromDefinition(definition, { base: '/' })
  const routes = console.wired(options.routes)
  const vm = await (from === undefined
    ? new VirtualMachine({ ...options, routes })
    : goingOn(from, { ...options, routes }))
  console.connect(vm, options.serial ?? options.pc ?? false)
  return { vm, options }
}

async function goingOn(
  folder: string,
  { routes = [], network, disks }: VirtualMachineOptions,
): Promise<VirtualMachine> {
  using snapshot = await Snapshot.load(join(folder, memoryFile))
  return new VirtualMachine({
    snapshot,
    routes,
    ...(network && { network }),
    // What lasts is where it was; of what is volatile the snapshot has the content.
    ...(disks && { disks: disks.map((disk) => (isLasting(disk) ? disk : undefined)) }),
  })
}

/** Whether what a guest writes to a disk is there after it. */
export function isLasting(disk: Disk): boolean {
  return 'file' in disk ? !disk.readOnly && !disk.volatile : !disk.device.readOnly
}

/** Memory from address 0 on and of slots, in bytes. */
export function memoryBytesOf({
  memoryBytes = 2 ** 21,
  slots = [],
}: VirtualMachineOptions): number {
  return slots.reduce((sum, { bytes }) => sum + bytes, memoryBytes)
}
