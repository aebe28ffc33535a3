import type { Client } from '../../client/index.ts'
import type { MachineView } from '../../supervisor/interface.ts'
import { paintState, plain, print, printJson, tell } from '../output.ts'
import { type Told, exitCodeOf, told } from '../report.ts'
import { type Run, type Values, durationOf, exitCodes } from '../verb.ts'

/** What is done to one machine; returns what it is after it, if it is anything. */
export type Deed = (client: Client, machine: string, values: Values) => Promise<MachineView | void>

const deeds: Record<string, Deed> = {
  undefine: (client, machine) => client.undefine(machine),
  start: (client, machine, values) =>
    client.start(machine, {
      ...(values['paused'] === true && { paused: true }),
      ...(values['fresh'] === true && { fresh: true }),
    }),
  stop: (client, machine, values) => stop(client, machine, values),
  kill: (client, machine) => client.kill(machine),
  reset: async (client, machine) => {
    await client.reset(machine)
    return await client.find(machine)
  },
  pause: (client, machine) => client.pause(machine),
  resume: (client, machine) => client.resume(machine),
}

/** Presses the power button, and kills after `--time`. */
export function stop(client: Client, machine: string, values: Values): Promise<MachineView> {
  const timeoutMs = durationOf(values, 'time')
  return client.stop(machine, timeoutMs === undefined ? {} : { timeoutMs })
}

/** The verbs that do one thing to each machine. */
export const actions: Record<string, Run> = Object.fromEntries(
  Object.entries(deeds).map(([name, deed]) => [
    name,
    async ({ values, words, client }) => {
      // What is wrong with it is said before anything is done.
      durationOf(values, 'time')
      return await toEach(await client(), [...new Set(words)], deed, values)
    },
  ]),
)

/** How many are worked on at once. */
const width = 16

/**
 * Does it to each machine and says what each is after it. A failure does not keep the others from
 * their turn; the first one is the exit code.
 */
export async function toEach(
  client: Client,
  machines: readonly string[],
  deed: Deed,
  values: Values,
): Promise<number> {
  const json = values['json'] === true
  const results: (MachineView | Told | undefined)[] = []
  const waiting = [...machines.entries()]
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [at, machine] = next
      const result = await deed(client, machine, values).catch(told)
      results[at] = result ?? undefined
      if (result && isTold(result)) tell(`${plain(machine)}: ${result.code}: ${result.message}`)
      else if (!json) print(result ? describe(result) : `${plain(machine)} is undefined`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, machines.length) }, work))
  const failures = machines.flatMap((machine, at) => {
    const result = results[at]
    return result && isTold(result) ? [{ machine, ...result }] : []
  })
  if (json) {
    const views = results.filter((result) => result !== undefined && !isTold(result))
    const [first] = failures
    printJson({
      machines: views.map((view) => summaryOf(view as MachineView)),
      ...(first && { error: { code: first.code, message: first.message }, errors: failures }),
    })
  }
  return failures[0] ? exitCodeOf(failures[0]) : exitCodes.fine
}

const isTold = (result: MachineView | Told): result is Told => 'code' in result

/** One line about a machine. */
export function describe({ name, state, pid, reason }: MachineView): string {
  const more = pid !== undefined ? ` (pid ${pid})` : reason ? ` (${plain(reason)})` : ''
  return `${plain(name)} is ${paintState(state)}${more}`
}

/** What documents say of a machine. */
export function summaryOf(view: MachineView): object {
  const { name, uuid, state, reason, exitCode, pid, startedAt, autostart, saved } = view
  return {
    name,
    uuid,
    state,
    ...(reason !== undefined && { reason }),
    ...(exitCode !== undefined && { exitCode }),
    ...(pid !== undefined && { pid }),
    ...(startedAt !== undefined && { startedAt }),
    autostart,
    saved,
  }
}
