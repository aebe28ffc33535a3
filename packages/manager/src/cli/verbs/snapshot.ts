import type { Client } from '../../client/index.ts'
import type { SnapshotView } from '../../supervisor/interface.ts'
import { plain, print, printJson, table, tell } from '../output.ts'
import { type Run, UsageError, type Values, exitCodes, textOf } from '../verb.ts'
import { describe, summaryOf } from './act.ts'

/** `vmexit snapshot`. */
export const snapshot: Run = async ({ values, words, client }) => {
  const [what, machine = '', name, ...more] = words
  if (values['description'] !== undefined && what !== 'save')
    throw new UsageError('--description goes with snapshot save')
  if (what === 'list') {
    if (name !== undefined) throw new UsageError(`snapshot list takes a machine, got '${name}' too`)
    return await list(await client(), machine, values)
  }
  if (name === undefined || more.length > 0)
    throw new UsageError(`snapshot ${what} needs MACHINE and the NAME of a snapshot`)
  if (what === 'save') return await save(await client(), machine, name, values)
  if (what === 'restore') return await restore(await client(), machine, name, values)
  return await remove(await client(), machine, name, values)
}

async function save(client: Client, machine: string, name: string, values: Values) {
  const description = textOf(values, 'description')
  const view = await client.saveSnapshot(
    machine,
    name,
    description === undefined ? {} : { description },
  )
  if (values['json']) printJson({ snapshots: [view] })
  else print(`${view.name} has ${view.bytes} bytes`)
  return exitCodes.fine
}

async function list(client: Client, machine: string, values: Values): Promise<number> {
  const views = await client.snapshots(machine)
  if (values['json']) printJson({ snapshots: views })
  else if (views.length === 0) tell(`${plain(machine)} has no snapshots`)
  else print(table(['NAME', 'AT', 'BYTES', 'STATE', ''], views.map(rowOf)))
  return exitCodes.fine
}

function rowOf({ name, at, bytes, state, description = '' }: SnapshotView): string[] {
  return [plain(name), at, bytes.toString(), state, plain(description)]
}

async function restore(client: Client, machine: string, name: string, values: Values) {
  const view = await client.restoreSnapshot(machine, name)
  if (values['json']) printJson({ machines: [summaryOf(view)] })
  else print(describe(view))
  return exitCodes.fine
}

async function remove(client: Client, machine: string, name: string, values: Values) {
  await client.removeSnapshot(machine, name)
  if (values['json']) printJson({ snapshots: [] })
  else print(`${plain(name)} is removed`)
  return exitCodes.fine
}
