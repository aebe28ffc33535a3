/** How a machine's end is told: an orderly one, or one that needs a look. */
export type EndState = 'ended' | 'crashed'

/**
 * What each reason of a `RunResult` means for a machine. The list of crashes is that of the exit
 * code 3 of `vmexit run`; a guest's `reset` is no end at all, since its machine begins again.
 *
 * | reason | state | what happened |
 * | --- | --- | --- |
 * | `power-off` | ended | the guest turned itself off |
 * | `hlt` | ended | a machine without an irqchip halted |
 * | `exit-port` | ended | the guest wrote to a `stop` port; `exitCode` has the value |
 * | `stopped` | ended | it was killed by a request |
 * | `timeout` | ended | its time was up |
 * | `shutdown` | crashed | a triple fault |
 * | `fail-entry`, `internal-error`, `unknown` | crashed | KVM cannot go on |
 * | `pio-in`, `pio-out`, `mmio-read`, `mmio-write` | crashed | an access that no route claims |
 * | `debug`, `system-event` | crashed | an exit that nobody has asked for |
 * | any other | crashed | the message of an error: of the host, or of a handler that threw */
const orderly: ReadonlySet<string> = new Set([
  'power-off',
  'hlt',
  'exit-port',
  'stopped',
  'timeout',
  'reset',
  'saved',
])

/**
 * What is known of a crash of the guest's own.
 *
 * @category Manager
 */
export interface Crash {
  /** What happened and where, in a sentence or more. */
  readonly sentence: string
  /** General registers of the vCPU that ended it, in hexadecimal; none where KVM lost them. */
  readonly registers?: Readonly<Record<string, string>>
  /** What is wrong with them and with the guest's tables, as `explain()` says it. */
  readonly explanation?: string
}

/** Characters of a sentence. */
const maxSentence = 4096
const maxRegisters = 32
/** Characters of an explanation. */
const maxExplanation = 16_384

/** A crash as a process or a file tells of it; undefined if it is none. */
export function crashOf(value: unknown): Crash | undefined {
  const { sentence, registers, explanation } = (value ?? {}) as Record<string, unknown>
  if (typeof sentence !== 'string') return undefined
  const pairs = Object.entries((registers ?? {}) as Record<string, unknown>)
  const kept = pairs
    .filter(([name, it]) => /^[a-z0-9]{1,8}$/.test(name) && /^0x[0-9a-f]{1,16}$/.test(String(it)))
    .slice(0, maxRegisters)
    .map(([name, it]) => [name, String(it)] as const)
  return {
    sentence: sentence.slice(0, maxSentence),
    ...(kept.length > 0 ? { registers: Object.fromEntries(kept) } : {}),
    ...(typeof explanation === 'string' && explanation !== ''
      ? { explanation: explanation.slice(0, maxExplanation) }
      : {}),
  }
}

/** How the end for a reason is told. */
export function endState(reason: string): EndState {
  return orderly.has(reason) ? 'ended' : 'crashed'
}
