import { checkArray, checkInteger, checkKeys, checkObject, checkWord } from './check.ts'
import type { WriteBatch } from '../results/write-batch.ts'
import { invalid } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeRoute } from '../native/seam.ts'
import { type Device, type DeviceTarget, deviceKind } from './device.ts'
import {
  type ConsoleTarget,
  type ConstantTarget,
  type PlainTarget,
  plainKinds,
} from './plain-routes.ts'
import { type EventTarget, type PostedTarget, postedKinds } from './posted-routes.ts'
import type { RouteKind } from './route-kind.ts'
import { checkMembers, otherwise } from './shape.ts'

/**
 * What a route claims: ports, or guest physical addresses. An access belongs to the route that
 * claims its first byte. Claims do not overlap.
 *
 * @category Routes
 */
export type Claim =
  | {
      /** First I/O port, 0 to 0xffff. */
      port: number
      /** A claim has a port or an address. */
      gpa?: never
      /** Ports, default 1; the last is 0xffff. */
      length?: number
    }
  | {
      /**
       * First guest physical address, below 512 GiB, outside writable memory: accesses there never
       * exit.
       */
      gpa: number
      /** A claim has a port or an address. */
      port?: never
      /** Bytes, default 1, up to 4 GiB. */
      length?: number
    }

/**
 * Where a route's accesses go.
 *
 * @category Routes
 */
export type Target =
  | ConsoleTarget
  | ConstantTarget
  | PlainTarget
  | DeviceTarget
  | PostedTarget
  | EventTarget

/**
 * A claim and where its accesses go.
 *
 * @example
 * ```ts
 * const routes: Route[] = [
 *   { port: 0xe9, to: 'console' },
 *   { port: 0x60, length: 5, to: 'constant', value: 0xff },
 *   { gpa: 0x1000_0000, length: 0x1000, device: { read: (offset) => offset } },
 * ]
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello, routes })
 * console.log(vm.runSync().reason) // hlt
 * ```
 *
 * @category Routes
 */
export type Route = Claim & Target

/** The JavaScript side of a route. */
export interface Handlers {
  /** For messages. */
  readonly name: string
  /** Where its claim begins, for a route of the caller's: no other begins there. */
  readonly place?: string
  readonly device?: Device
  readonly onData?: (bytes: Uint8Array) => unknown
  readonly onBatch?: (batch: WriteBatch) => unknown
  readonly onEvent?: (count: number) => unknown
}

const kinds: Record<NativeRoute['to'], RouteKind> = {
  ...plainKinds,
  ...postedKinds,
  device: deviceKind,
}
const { maxRoutes } = native.limits()
const kindNames = Object.keys(kinds) as (keyof typeof kinds)[]

/** Checks an array of routes. */
function checkRoutes(name: string, value: unknown): [NativeRoute, Handlers][] {
  return checkArray(name, value, maxRoutes, checkRoute)
}

/** The key `routes` of every shape that has one. */
export const routesKey = otherwise<ReturnType<typeof checkRoutes>>([], checkRoutes)

/** Where a claim begins, for readers and for finding it again. */
export function placeOf({ port, gpa }: Pick<NativeRoute, 'port' | 'gpa'>): string {
  return port === undefined ? `gpa 0x${(gpa ?? 0).toString(16)}` : `port 0x${port.toString(16)}`
}

/** Checks the shape of a route; ranges and overlaps are the core's business. */
export function checkRoute(value: unknown, name: string): [NativeRoute, Handlers] {
  const route = checkObject(name, value)
  const { to } = route
  const byDevice = to === undefined && 'device' in route
  const kind = checkWord(`${name}.to`, byDevice ? 'device' : to, kindNames)
  const { values = {}, handlers = {}, together } = kinds[kind]
  const own = [...Object.keys(values), ...Object.keys(handlers)]
  checkKeys(name, route, ['port', 'gpa', 'length', 'to', ...own])
  const [claim, place] = checkClaim(name, route)
  const facts = checkMembers(route, values, `${name}.`)
  const mine = checkMembers(route, handlers, `${name}.`)
  return [
    {
      ...claim,
      to: kind,
      ...(together ? together(name, facts) : facts),
      deliver: 'onData' in mine,
    },
    { name: `${name} (${place})`, place, ...mine },
  ]
}

function checkClaim(
  name: string,
  route: Record<string, unknown>,
): [Omit<NativeRoute, 'to'>, string] {
  const { port, gpa, length: given = 1 } = route
  if ((port === undefined) === (gpa === undefined)) {
    return invalid(
      name,
      'given exactly one of port and gpa',
      port === undefined ? 'neither' : 'both',
    )
  }
  const length = checkInteger(`${name}.length`, given, 1, 2 ** 32)
  if (gpa !== undefined) {
    const first = checkInteger(`${name}.gpa`, gpa, 0, 2 ** 52 - 1)
    return [{ gpa: first, length }, placeOf({ gpa: first })]
  }
  const first = checkInteger(`${name}.port`, port, 0, 0xffff)
  return [{ port: first, length }, placeOf({ port: first })]
}
