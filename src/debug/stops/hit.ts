import { native } from '../../native/native.ts'
import { value64, words } from '../../native/block.ts'
import type { Registers } from '../../results/registers.ts'

const { NativeStopKind: Kind } = native

/**
 * A vCPU that has come to a stop, as a handler gets it.
 *
 * @category Debugging
 */
export interface StopHit {
  /** `'step'` is an instruction that was executed, without any other reason. */
  readonly kind: 'breakpoint' | 'watchpoint' | 'step'
  /**
   * Linear: of the next instruction, which is a breakpoint's own; of a watchpoint the first watched
   * address.
   */
  readonly address: bigint
  /** Index of the vCPU. */
  readonly vcpu: number
  /** Of a watchpoint: what memory was before the instruction. */
  readonly before?: Uint8Array
  /** And after it. */
  readonly after?: Uint8Array
  /**
   * The general registers of that vCPU.
   *
   * @throws {VmError} `ERR_VM_BUSY` after the answer: when the promise of a handler that returns
   * one is settled, or the run has ended.
   */
  readonly registers: () => Registers
}

/**
 * Decides whether a run goes on after a stop: `'stop'` ends it, anything else goes on. Under
 * `run()` and `step()` it may return a promise, for which the vCPU waits.
 *
 * @category Debugging
 */
export type StopHandler = (hit: StopHit) => 'stop' | void | PromiseLike<'stop' | void>

/** The id of what is no stop of a machine's, but every step of a run. */
export const noStop = 0xffff_ffff

/** The hit in the words, with its memory before and after, one after the other. */
export function hitOfWords(memory: Uint8Array | undefined): Omit<StopHit, 'registers'> {
  const kind = words[2]!
  const hit = {
    kind:
      kind === Kind.Breakpoint ? 'breakpoint' : kind === Kind.Watchpoint ? 'watchpoint' : 'step',
    address: value64[0]!,
    vcpu: words[4]!,
  } as const
  if (!memory) return hit
  const half = memory.length / 2
  return { ...hit, before: memory.slice(0, half), after: memory.slice(half) }
}
