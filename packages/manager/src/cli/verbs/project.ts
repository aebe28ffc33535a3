import { isDeepStrictEqual } from 'node:util'

import type { Client } from '../../client/index.ts'
import { readProject } from '../../definition/index.ts'
import type { MachineState, MachineView } from '../../supervisor/interface.ts'
import { plain, tell } from '../output.ts'
import { told } from '../report.ts'
import { type Run, type Values, durationOf } from '../verb.ts'
import { type Deed, stop, toEach } from './act.ts'

const defaultFile = 'vmexit.json'

/** States in which there is nothing to stop. */
const idle: readonly MachineState[] = ['defined', 'ended', 'crashed']

const isIdle = ({ state }: MachineView): boolean => idle.includes(state)

/** `vmexit up`. */
export const up: Run = async ({ values, words: [file = defaultFile], client }) => {
  const { base, machines } = await readProject(file)
  const daemon = await client()
  const before = await byName(daemon)
  // All are known before one is started, so that a mistake in the last does not leave half of them.
  for (const definition of machines) {
    const { name } = definition
    const was = before.get(name)
    const is = await daemon.define(definition, { base })
    if (was && !isIdle(was) && !isDeepStrictEqual(was.definition, is.definition))
      tell(`${plain(name)} runs; what has changed applies from its next start on`)
  }
  const start: Deed = async (_, name) => {
    const view = await daemon.find(name)
    return isIdle(view) ? await daemon.start(name) : view
  }
  return await toEach(daemon, namesOf(machines), start, values)
}

/** `vmexit down`. */
export const down: Run = async ({ values, words: [file = defaultFile], client }) => {
  durationOf(values, 'time')
  const { machines } = await readProject(file)
  const daemon = await client()
  const known = await byName(daemon)
  const end: Deed = async (_, name) => {
    const view = await stopped(daemon, known.get(name)!, values)
    if (values['undefine'] !== true) return view
    return await daemon.undefine(name)
  }
  const names = namesOf(machines).filter((name) => known.has(name))
  return await toEach(daemon, names, end, values)
}

/** What it is when it does not run; it may end by itself meanwhile. */
async function stopped(client: Client, view: MachineView, values: Values): Promise<MachineView> {
  if (isIdle(view)) return view
  try {
    return await stop(client, view.name, values)
  } catch (error) {
    const now = await client.find(view.name)
    if (told(error).code === 'ERR_STATE' && isIdle(now)) return now
    throw error
  }
}

async function byName(client: Client): Promise<Map<string, MachineView>> {
  return new Map((await client.list()).map((view) => [view.name, view]))
}

function namesOf(machines: readonly { readonly name: string }[]): string[] {
  return machines.map(({ name }) => name)
}
