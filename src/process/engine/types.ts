import type { Autopsy } from '../../results/autopsy.ts'
import type { Fault } from '../../results/fault.ts'
import type { Registers } from '../../results/registers.ts'

/** Why the guest stands still. */
export type Stop =
  /** The called function is back; what it returned is in the mailbox. */
  | { readonly kind: 'returned' }
  /** A system call that is not answered yet, or an import: its number is its record's address. */
  | CallStop
  /** The guest called `exit` or `exit_group`. */
  | { readonly kind: 'exit'; readonly code: number }
  /** A signal has ended it. */
  | { readonly kind: 'killed'; readonly code: number }
  | FaultStop
  | { readonly kind: 'timeout'; readonly registers: Registers }

/** What the guest asks of the host. */
export interface CallStop {
  readonly kind: 'call'
  readonly number: bigint
  /** RDI, RSI, RDX, R10, R8, R9. */
  readonly arguments: readonly bigint[]
  readonly rsp: bigint
  /** The standard stream that the first argument leads to, if it is a descriptor of one. */
  readonly stream?: number
}

/** What the guest did that its processor refuses. */
export interface FaultStop {
  readonly kind: 'fault'
  readonly fault: Fault
  readonly registers: Registers
  explain(): Autopsy
}

/** How long a guest may go on, and who may end that. */
export interface Limits {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** A part of the image that has a name, as the file has it, and where it lies in the guest. */
export interface Part {
  readonly address: bigint
  readonly bytes: Uint8Array
}

/**
 * A program in ring 3 of a machine. It stands still between these calls, which the guest's page
 * tables are no part of: all addresses are linear ones of the guest, and checked.
 */
export interface Engine {
  readonly base: bigint
  /** `_start`, if the image has one. */
  readonly entry: bigint | undefined
  readonly closed: boolean
  /** One page that the call gate reads and writes; of length 0 after `close()`. */
  readonly mailbox: DataView
  /** The address of a function or variable. */
  symbol(name: string): bigint | undefined
  section(name: string): Part | undefined
  /** General registers, as they are where it stands still. */
  registers(): Registers
  /** A copy. `ERR_GUEST_MEMORY` unless the guest itself could read there. */
  read(address: bigint, length: number): Uint8Array
  /** All or nothing. `ERR_GUEST_MEMORY` unless the guest itself could write there. */
  write(address: bigint, bytes: Uint8Array): void
  /** More zeros for `alloc`, right after what it gave before. `ERR_LIMIT` if memory is used up. */
  map(bytes: number): bigint
  startSync(limits: Limits): Stop
  start(limits: Limits): Promise<Stop>
  /** Calls what the mailbox says, with these words on the stack, the first one lowest. */
  callSync(stack: readonly bigint[], limits: Limits): Stop
  call(stack: readonly bigint[], limits: Limits): Promise<Stop>
  /** Goes on after a stop of kind `call`. */
  answerSync(rax: bigint, limits: Limits): Stop
  answer(rax: bigint, limits: Limits): Promise<Stop>
  /** Keeps the state that `reset` goes back to. */
  snapshot(): void
  reset(): void
  close(): void
}

/** What an engine is made with. */
export interface EngineOptions {
  readonly memoryBytes: number
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** For how long the vCPU waits for the next call on a core of its own; not at all without it. */
  readonly spinMs?: number | undefined
}

/** Offsets in the mailbox, in bytes. */
export const MAILBOX = {
  /** The function's address. */
  function: 0x00,
  /** RDI, RSI, RDX, RCX, R8, R9. */
  words: 0x08,
  /** XMM0 to XMM7, 8 bytes each. */
  floats: 0x38,
  /** What the function returned in RAX. */
  rax: 0x78,
  /** What the function returned in XMM0, 8 bytes. */
  xmm0: 0x80,
} as const
