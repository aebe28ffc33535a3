import { stat } from 'node:fs/promises'

import { ERROR, fail } from '../errors.ts'
import type { Handlers } from './call.ts'
import { checkFlags, machineOf } from './machines.ts'

const noJob = {
  type: 0,
  timeElapsed: 0n,
  timeRemaining: 0n,
  dataTotal: 0n,
  dataProcessed: 0n,
  dataRemaining: 0n,
  memTotal: 0n,
  memProcessed: 0n,
  memRemaining: 0n,
  fileTotal: 0n,
  fileProcessed: 0n,
  fileRemaining: 0n,
} as const

/** The unit of `stat`'s blocks. */
const BLOCK_BYTES = 512n

/** Jobs, of which there is never one that a client could follow, and the files of disks. */
export const jobHandlers = {
  domainGetJobInfo: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return noJob
  },
  domainGetJobStats: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 1)
    machineOf(supervisor, dom)
    return { type: 0, params: [] }
  },
  // Of what is deprecated or spoils a guarantee, which nothing here does.
  domainGetMessages: ({ supervisor }, { dom }) => {
    machineOf(supervisor, dom)
    return { msgs: [] }
  },
  domainGetBlockInfo: async ({ supervisor }, { dom, path, flags }) => {
    checkFlags(flags, 0)
    const { name, definition } = machineOf(supervisor, dom)
    const disk = (definition.disks ?? []).find(
      ({ file }, index) => file === path || `vd${String.fromCharCode(0x61 + index)}` === path,
    )
    if (disk === undefined) return fail(ERROR.invalidArgument, `${name} has no disk '${path}'`)
    try {
      const { size, blocks } = await stat(disk.file, { bigint: true })
      return { capacity: size, physical: size, allocation: blocks * BLOCK_BYTES }
    } catch (error) {
      return fail(ERROR.operationFailed, `${disk.file}: ${(error as Error).message}`)
    }
  },
} satisfies Handlers
