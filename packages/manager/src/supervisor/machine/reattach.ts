import type { Context } from './context.ts'
import type { MachineState } from '../interface.ts'
import type { Machine } from './machine.ts'
import { bootId } from '../process/proc.ts'
import type { Run } from '../process/run.ts'
import { busy } from './states.ts'

/** Finds a machine's run that an earlier daemon began, or tells how it ended in the meantime. */
export async function reattach(context: Context, machine: Machine): Promise<void> {
  const run = await context.spawner
    .find(machine.name, machine.last.group, (event) => machine.heard(event))
    .catch((error: unknown) => {
      context.log(`machine '${machine.name}' runs, but cannot be reached: ${String(error)}`)
      return undefined
    })
  if (run !== undefined && (await took(context, machine, run))) return
  if (busy.includes(machine.last.state)) await ended(context, machine)
  else if (machine.last.restart) machine.restartAfter(context.backoff.firstMs)
}

/** Whether the run is one that goes on. */
async function took(context: Context, machine: Machine, run: Run): Promise<boolean> {
  const status = await run.request('status').catch(() => ({}) as Record<string, unknown>)
  const state = status['state'] as MachineState
  if (status['uuid'] === machine.record.uuid && busy.includes(state)) {
    run.vncPort = status['vncPort'] as number | undefined
    machine.attach(run, state)
    return true
  }
  // Its daemon died before it had told the process what to start.
  run.leave()
  if (!run.shared) run.process.kill()
  return false
}

async function ended(context: Context, machine: Machine): Promise<void> {
  const told = await context.spawner.endOf(machine.name)
  const reason =
    machine.last.boot === bootId()
      ? 'its process ended while no daemon was there'
      : 'the host was started anew'
  await context.spawner.clean(machine.name)
  await machine.missed(told ?? { state: 'crashed', reason })
}
