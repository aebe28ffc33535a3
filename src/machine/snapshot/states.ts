import { fail, showThrown } from '../../native/errors.ts'
import type { Device } from '../../options/device.ts'
import type { Handlers } from '../../options/routes.ts'

/** The states of devices, by the places of their routes; each is asked once. */
export function saveStates(routes: Iterable<Handlers>): Map<string, unknown> {
  const states = new Map<string, unknown>()
  const saved = new Map<Device, unknown>()
  for (const { device, place } of routes) {
    if (!device?.save || place === undefined) continue
    if (!saved.has(device)) saved.set(device, copied(device.save(), place))
    states.set(place, saved.get(device))
  }
  return states
}

/** Gives devices their states, each once. */
export function putStatesBack(
  states: ReadonlyMap<string, unknown>,
  routes: Iterable<Handlers>,
): void {
  const done = new Set<Device>()
  for (const { device, place } of routes) {
    if (!device || place === undefined || !states.has(place) || done.has(device)) continue
    done.add(device)
    device.restore?.(copied(states.get(place), place))
  }
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
