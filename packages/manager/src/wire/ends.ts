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

/** How the end for a reason is told. */
export function endState(reason: string): EndState {
  return orderly.has(reason) ? 'ended' : 'crashed'
}
