import { stat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { Snapshot } from 'vmexit'

import { StagedDisks, freezeDisks } from './frozen-disks.ts'
import type { Machine } from '../machine.ts'
import { isLasting, make, memoryFile } from '../making.ts'

/** Writes a machine's state, and copies of its writable disks, into a folder; it then goes on. */
export async function save(machine: Machine, folder: string): Promise<{ bytes: number }> {
  // Both are of one moment. Once the memory is a value, writing it needs no machine that waits.
  using snapshot = await machine.inTurn(() =>
    machine.whileHalted(async ({ vm, options }) => {
      await freezeDisks(options, folder, machine.ending)
      return vm.snapshot()
    }),
  )
  await snapshot.save(join(folder, memoryFile))
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return { bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** Makes a machine, and its disks, what they were; it does then what it did before. */
export function restore(machine: Machine, folder: string): Promise<void> {
  return machine.inTurn(async () => {
    using snapshot = await Snapshot.load(join(folder, memoryFile))
    if (!(machine.made.options.disks ?? []).some(isLasting))
      return await machine.whileHalted(async ({ vm }) => vm.restore(snapshot))
    const staged = await StagedDisks.of(folder, machine.ending, false)
    try {
      await machine.replace(async (console) => {
        await staged.take()
        return make(machine.params.definition, console, folder)
      })
    } finally {
      await staged.drop()
    }
  })
}
