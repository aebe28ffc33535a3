import { registerWords } from '../native/block.ts'
import { take } from '../native/errors.ts'
import type { NativeReplay, NativeSnapshot } from '../native/seam.ts'
import { type Registers, toRegisters } from '../results/registers.ts'
import { type SpecialRegisters, specialOfWords } from '../results/special-registers.ts'

/** What a replay has found. */
export interface ReplayScene {
  /** General registers before the last instruction; `null` if there was no shutdown. */
  readonly registers: Registers | null
  /** Special registers, likewise. */
  readonly special: SpecialRegisters | null
  /** The exception that could not be delivered, if KVM names one. */
  readonly vector: number | null
  /** Its error code, if it has one. */
  readonly errorCode?: number
  /** The linear address of a page fault, if it is known. */
  readonly address?: bigint
  /** What is to be known of the replay, each a sentence. */
  readonly notes: readonly string[]
}

/**
 * The registers before the instruction that shut a guest down, found by doing the same once more
 * from a snapshot.
 *
 * @throws {VmError} `ERR_INVALID_OPTION` for several vCPUs, `ERR_SNAPSHOT`, `ERR_KVM_IOCTL`.
 */
export function replayScene(snapshot: NativeSnapshot): ReplayScene {
  const replay = take(snapshot.replay())
  const notes = notesOf(replay)
  if (!replay.isFound) return { registers: null, special: null, vector: null, notes }
  const { vector = null, errorCode, address } = replay
  const [registers, special] = [toRegisters(registerWords), specialOfWords()]
  return {
    registers,
    special,
    vector,
    ...(errorCode !== undefined && { errorCode }),
    ...(address !== undefined && { address }),
    notes,
  }
}

function notesOf({ isFound, ended, exits, steps, answered }: NativeReplay): string[] {
  const notes: string[] = []
  if (!isFound) notes.push(endings[ended] ?? `the replay ended with '${ended}'`)
  else if (steps > 0)
    notes.push(
      `the replay stepped through ${counted(steps, 'instruction')} after ${counted(exits, 'exit')}`,
    )
  if (answered > 0) {
    const what = answered === 1 ? 'access' : 'accesses'
    notes.push(
      `the replay answered ${answered} ${what} by itself: reads got all ones, writes went nowhere`,
    )
  }
  return notes
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Ends of its own. */
const endings: Record<string, string> = {
  instructions: 'the replay came to no shutdown within its number of instructions',
  timeout: 'the replay came to no shutdown within its time',
}
