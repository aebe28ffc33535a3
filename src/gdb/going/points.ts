import { raise } from '../../native/errors.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import type { Report, Why } from './ends.ts'
import { signals } from './ends.ts'

/** How many a client may set. */
const MAX_POINTS = 256
/** How many bytes may be watched at once. */
const MAX_WATCHED_BYTES = 64

/** The types of the packets `Z` and `z`. */
const types = {
  0: { why: 'swbreak' },
  1: { why: 'hwbreak' },
  2: { why: 'watch', on: 'write' },
  3: { why: 'rwatch', on: 'read' },
  4: { why: 'awatch', on: 'access' },
} as const satisfies Record<number, { why: Why; on?: 'write' | 'read' | 'access' }>

/** Called when a vCPU comes to one; it goes on when the promise resolves. */
type OnHit = (vcpu: number, report: Report, isWanted: () => boolean) => Promise<void>

/** Breakpoints and watchpoints of a client. */
export class Points {
  readonly #vm: VirtualMachine
  readonly #onHit: OnHit
  readonly #set = new Map<string, Disposable[]>()

  constructor(vm: VirtualMachine, onHit: OnHit) {
    this.#vm = vm
    this.#onHit = onHit
  }

  /** Sets one; false for a type that there is none of, or too many. */
  insert(type: number, address: bigint, kind: number): boolean {
    const key = keyOf(type, address, kind)
    if (this.#set.has(key)) return true
    if (!Object.hasOwn(types, type) || this.#set.size >= MAX_POINTS) return false
    const row: { why: Why; on?: 'write' | 'read' | 'access' } = types[type as keyof typeof types]
    const pieces = row.on === undefined ? [] : piecesOf(address, kind)
    if (!pieces) return false
    const isWanted = (): boolean => this.#set.has(key)
    const handler = ({ vcpu }: { readonly vcpu: number }): Promise<void> => {
      const stopped = { kind: 'stopped', signal: signals.trap, vcpu, why: row.why } as const
      const report = row.on === undefined ? stopped : { ...stopped, address }
      return this.#onHit(vcpu, report, isWanted)
    }
    const made: Disposable[] = []
    try {
      if (row.on === undefined) made.push(this.#vm.debug.breakpoint(address, handler))
      for (const { at, size } of pieces)
        made.push(this.#vm.debug.watch(at, { size, on: row.on! }, handler))
    } catch (error) {
      for (const each of made) each[Symbol.dispose]()
      raise(error)
    }
    this.#set.set(key, made)
    return true
  }

  /** Takes one away, if it is there. */
  remove(type: number, address: bigint, kind: number): void {
    const key = keyOf(type, address, kind)
    const made = this.#set.get(key) ?? []
    this.#set.delete(key)
    for (const each of made) each[Symbol.dispose]()
  }

  /** Takes all away. */
  clear(): void {
    const all = [...this.#set.values()].flat()
    this.#set.clear()
    for (const each of all) each[Symbol.dispose]()
  }
}

/** The kind of a breakpoint is the length of an instruction, which says nothing here. */
function keyOf(type: number, address: bigint, kind: number): string {
  return `${type}:${address}:${type < 2 ? 0 : kind}`
}

interface Piece {
  at: bigint
  size: 1 | 2 | 4 | 8
}

/** What is watched, in aligned pieces that a processor can watch. */
function piecesOf(address: bigint, bytes: number): Piece[] | undefined {
  if (bytes < 1 || bytes > MAX_WATCHED_BYTES || address + BigInt(bytes) > 1n << 64n)
    return undefined
  const pieces: Piece[] = []
  const end = address + BigInt(bytes)
  for (let at = address; at < end;) {
    const fits = ([8, 4, 2, 1] as const).filter(
      (size) => at % BigInt(size) === 0n && at + BigInt(size) <= end,
    )
    const size = fits[0]!
    pieces.push({ at, size })
    at += BigInt(size)
  }
  return pieces
}
