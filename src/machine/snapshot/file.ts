import { types } from 'node:util'

import { fail, fromFailure, raise, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import type { NativeRoute } from '../../native/seam.ts'
import { Symbols } from '../../debug/symbols.ts'
import type { Device } from '../../options/device.ts'
import { type Handlers, placeOf } from '../../options/routes.ts'
import { summarize } from './summary.ts'
import type { Content } from './content.ts'
import { decode } from './decode.ts'
import { encode } from './encode.ts'
import type { States } from './states.ts'

/** Writes a snapshot with the states of its devices. */
export async function writeContent(
  { native: saved, states }: Content,
  path: string,
): Promise<void> {
  const written = [...states].map(([place, state]) => [
    place,
    encode(`the device at ${place}`, state),
  ])
  const failure = await saved.save(path, encode('the devices', written))
  if (failure) raise(fromFailure(failure))
}

/** Reads one. */
export async function readContent(
  path: string,
  bound: readonly [NativeRoute, Handlers][],
  verify: boolean,
  copy: boolean,
): Promise<Content> {
  const loaded = take(await native.NativeSnapshot.load(path, verify, copy))
  try {
    return contentOf(loaded, bound)
  } catch (error) {
    loaded.close()
    return raise(error)
  }
}

function contentOf(loaded: Content['native'], bound: readonly [NativeRoute, Handlers][]): Content {
  const description = take(loaded.description())
  const given = new Map(bound.map((pair) => [pair[1].place as string, pair]))
  const open = new Map<string, NativeRoute>()
  const handlers = description.routes.map((route, index): Handlers => {
    const place = placeOf(route)
    const mine = given.get(place)?.[1]
    if (!mine && isAnsweredHere(route)) open.set(place, route)
    return mine ?? { name: `routes[${index}] (${place})`, place }
  })
  const places = new Set(handlers.map(({ place }) => place))
  for (const [place] of given) {
    if (!places.has(place)) fail('ERR_SNAPSHOT', `the snapshot has no route at ${place}`)
  }
  const devices = bound.map(([, { device }]) => device).filter((device) => device !== undefined)
  return {
    native: loaded,
    vcpus: description.vcpus,
    symbols: Symbols.none,
    hasSerial: description.serial,
    summary: summarize(description),
    // A file does not tell what was at their other ends.
    network: description.network.map(({ mac }) => ({ mac, isPasst: false })),
    ports: description.ports,
    handlers,
    states: statesOf(loaded.note()),
    disks: [],
    binding: {
      routes: new Map(bound.map(([route, { place }]) => [place as string, route])),
      open,
      spare: new Set<Device>(devices),
    },
  }
}

/** Whether JavaScript answers what comes to it, or takes it. */
function isAnsweredHere({ to, deliver }: NativeRoute): boolean {
  return to === 'console' ? deliver === true : ['device', 'queue', 'coalesce', 'event'].includes(to)
}

function statesOf(note: Uint8Array): States {
  const written = decode('the devices', note)
  if (!Array.isArray(written)) return damaged()
  const states = written.map((pair: unknown): [string, unknown] => {
    if (!Array.isArray(pair)) return damaged()
    const [place, bytes] = pair as [unknown, unknown]
    if (typeof place !== 'string' || !types.isUint8Array(bytes)) return damaged()
    return [place, decode(`the device at ${place}`, bytes)]
  })
  return new Map(states)
}

function damaged(): never {
  return fail('ERR_SNAPSHOT', 'the states of devices in the file are damaged')
}
