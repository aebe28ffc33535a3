import { fail, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkArray } from '../../options/check.ts'
import { checkMachineOptions } from '../../options/options.ts'
import { type Handlers, checkRoute } from '../../options/routes.ts'
import { checkShape, otherwise, required } from '../../options/shape.ts'
import { Devices } from '../devices.ts'
import { summarize } from '../summary.ts'
import type { Parts } from './parts.ts'
import { checkSnapshot, contentOf } from './snapshot.ts'
import type { States } from './states.ts'

const { maxRoutes } = native.limits()

const snapshotShape = {
  snapshot: required(checkSnapshot),
  routes: otherwise<ReturnType<typeof checkRoute>[]>([], (name, value) =>
    checkArray(name, value, maxRoutes, checkRoute),
  ),
}

/** A machine that has yet to meet its devices, and the states that these then get. */
export interface Beginning extends Parts {
  readonly states: States
}

/** Makes the native side of a machine: of options, or of a snapshot. */
export function begin(options: unknown): Beginning {
  const isAgain = typeof options === 'object' && options !== null && 'snapshot' in options
  return isAgain ? again(options) : anew(options)
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
    states: new Map(),
  }
}

function again(options: unknown): Beginning {
  const { snapshot, routes } = checkShape('options', options, snapshotShape, '')
  const { native: saved, vcpus, hasSerial, summary, handlers, states } = contentOf(snapshot)
  const others = new Map(routes.map(([, other]) => [other.place, other]))
  const own = handlers.map((handler) => rebound(handler, others.get(handler.place)))
  return {
    machine: take(saved.machine(routes.map(([route]) => route))),
    vcpus,
    hasSerial,
    summary,
    handlers: new Map(own.entries()),
    devices: new Devices(),
    states,
  }
}

function rebound(handlers: Handlers, other: Handlers | undefined): Handlers {
  const { device, place } = handlers
  if (!device?.save) return other ?? handlers
  const what = `the device at ${place} saves its state`
  if (!other?.device) {
    const why = `${what}, and is the first machine's`
    return fail('ERR_SNAPSHOT', `${why}; give routes another one for this claim`)
  }
  if (!other.device.restore) return fail('ERR_SNAPSHOT', `${what}, and the other has no restore`)
  return other
}
