import { types } from 'node:util'

import { VmError, fail, raise, showThrown } from '../../native/errors.ts'
import type { Device } from '../../options/device.ts'
import type { Handlers } from '../../options/routes.ts'

/** The states of devices, by the places of their routes. */
export type States = ReadonlyMap<string, unknown>

/** Asks each device once for its state, which is copied: the device goes on with its own. */
export function saveStates(routes: Iterable<Handlers>): States {
  const states = new Map<string, unknown>()
  const saved = new Map<Device, unknown>()
  for (const { device, place } of [...routes]) {
    if (!device?.save || place === undefined) continue
    if (!saved.has(device)) saved.set(device, stateOf(device, place))
    states.set(place, saved.get(device))
  }
  return states
}

/** Refuses states that no device takes, naming the first place. */
export function checkStates(states: States, routes: Iterable<Handlers>): void {
  if (states.size === 0) return
  const takers = new Set<string | undefined>()
  for (const { device, place } of routes) if (device?.restore) takers.add(place)
  const place = [...states.keys()].find((each) => !takers.has(each))
  if (place === undefined) return
  const what = `the snapshot has the state of a device at ${place}`
  fail('ERR_SNAPSHOT', `${what}, where this machine has no device with restore`)
}

/** Gives each device its state, once. All are called, then the first error is thrown. */
export function putStatesBack(states: States, routes: Iterable<Handlers>): void {
  const errors: unknown[] = []
  const done = new Set<Device>()
  for (const { device, place } of [...routes]) {
    if (!device || place === undefined || !states.has(place) || done.has(device)) continue
    done.add(device)
    try {
      restore(device, place, copied(states.get(place), place))
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) raise(errors[0])
}

function stateOf(device: Device, place: string): unknown {
  let state: unknown
  try {
    state = device.save?.()
  } catch (error) {
    return raise(failed(`save of the device at ${place}`, error))
  }
  return copied(state, place)
}

/** The state is the snapshot's own, whatever becomes of what the device has. */
function copied(state: unknown, place: string): unknown {
  try {
    return structuredClone(state)
  } catch (error) {
    const why = showThrown(error)
    return fail('ERR_SNAPSHOT', `the state of the device at ${place} cannot be copied: ${why}`, {
      cause: error,
    })
  }
}

function restore(device: Device, place: string, state: unknown): void {
  const what = `restore of the device at ${place}`
  let returned: unknown
  try {
    returned = device.restore?.(state)
  } catch (error) {
    raise(failed(what, error))
  }
  if (!types.isPromise(returned)) return
  // What becomes of it is no unhandled rejection.
  returned.catch(() => undefined)
  fail('ERR_ASYNC_HANDLER', `${what} returned a promise, for which nothing waits`)
}

function failed(what: string, error: unknown): VmError {
  return new VmError('ERR_HANDLER', `${what} failed: ${showThrown(error)}`, { cause: error })
}
