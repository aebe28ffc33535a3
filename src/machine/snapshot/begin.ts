import { fail, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkMachineOptions } from '../../options/options.ts'
import { type Handlers, routesKey } from '../../options/routes.ts'
import { checkShape, required } from '../../options/shape.ts'
import { Devices } from '../devices.ts'
import { Remotes } from '../remote/remotes.ts'
import { summarize } from './summary.ts'
import type { Content } from './content.ts'
import type { Parts } from './parts.ts'
import { checkSnapshot, contentOf } from './snapshot.ts'
import type { States } from './states.ts'

const snapshotShape = {
  snapshot: required(checkSnapshot),
  routes: routesKey,
}

/** A machine that has yet to meet its devices, and the states that these then get. */
export interface Beginning extends Parts {
  readonly states: States
}

/** Makes the native side of a machine: of options, or of a snapshot. */
export function begin(options: unknown): Beginning {
  return isOfSnapshot(options) ? again(options) : anew(options)
}

function isOfSnapshot(options: unknown): boolean {
  try {
    return typeof options === 'object' && options !== null && 'snapshot' in options
  } catch {
    // What cannot be asked is no options at all, and the check says so.
    return false
  }
}

function anew(options: unknown): Beginning {
  const [config, own] = checkMachineOptions(options)
  return {
    machine: take(native.NativeMachine.create(config)),
    vcpus: config.vcpus,
    hasSerial: config.serial,
    summary: summarize(config),
    handlers: new Map(own.entries()),
    devices: new Devices(),
    remotes: new Remotes([]),
    states: new Map(),
  }
}

function again(options: unknown): Beginning {
  const { snapshot, routes } = checkShape('options', options, snapshotShape, '')
  const content = contentOf(snapshot)
  const { native: saved, vcpus, hasSerial, summary, handlers, states, binding } = content
  const others = new Map(routes.map((pair) => [pair[1].place as string, pair]))
  const own = handlers.map((handler) => rebound(handler, others.get(handler.place!)?.[1], content))
  const wanted = new Map(binding?.routes)
  for (const [place, [route]] of others) wanted.set(place, route)
  const machine = take(saved.machine([...wanted.values()]))
  for (const { device } of own) if (device) binding?.spare.delete(device)
  return {
    machine,
    vcpus,
    hasSerial,
    summary,
    handlers: new Map(own.entries()),
    devices: new Devices(),
    remotes: new Remotes([]),
    states,
  }
}

function rebound(
  handlers: Handlers,
  other: Handlers | undefined,
  { states, binding }: Content,
): Handlers {
  const { device, place } = handlers
  const open = binding?.open.get(place!)
  if (open && !other) {
    const what = `JavaScript answers ${place} (${open.to}), and a file has no functions`
    return fail('ERR_SNAPSHOT', `${what}; give routes one for this claim`)
  }
  if (!device?.save && !states.has(place!)) return other ?? handlers
  const what = `the device at ${place} saves its state`
  const mine = other ?? (device && binding?.spare.has(device) ? handlers : undefined)
  if (!mine?.device) {
    const why = `${what}, and is the first machine's`
    return fail('ERR_SNAPSHOT', `${why}; give routes another one for this claim`)
  }
  if (!mine.device.restore) return fail('ERR_SNAPSHOT', `${what}, and the other has no restore`)
  return mine
}
