import {
  checkFunction,
  checkInteger,
  checkKeys,
  checkObject,
  checkUint64,
  checkWord,
} from './check.ts'
import { invalid } from '../native/errors.ts'
import type { ConsoleTarget, Device, EventTarget, Handlers, PostedTarget } from './routes.ts'
import type { NativeRoute } from '../native/seam.ts'

const targets = [
  ...(['console', 'constant', 'discard', 'count', 'stop', 'device'] as const),
  ...(['queue', 'coalesce', 'event'] as const),
]
const keys: Record<(typeof targets)[number], readonly string[]> = {
  console: ['onData'],
  constant: ['value'],
  discard: [],
  count: [],
  stop: [],
  device: ['device'],
  queue: ['onBatch', 'value'],
  coalesce: ['onBatch', 'value'],
  event: ['onEvent', 'datamatch', 'size'],
}

/** Checks the shape of a route; ranges and overlaps are the core's business. */
export function checkRoute(value: unknown, name: string): [NativeRoute, Handlers] {
  const route = checkObject(name, value)
  const { to } = route
  const byDevice = to === undefined && 'device' in route
  const target = checkWord(`${name}.to`, byDevice ? 'device' : to, targets)
  checkKeys(name, route, ['port', 'gpa', 'length', 'to', ...keys[target]])
  const [claim, place] = checkClaim(name, route)
  const handlers = { name: `${name} (${place})` }
  switch (target) {
    case 'console': {
      const onData = route['onData'] as ConsoleTarget['onData']
      checkFunction(`${name}.onData`, onData)
      const native = { ...claim, to: target, deliver: onData !== undefined }
      return [native, onData ? { ...handlers, onData } : handlers]
    }
    case 'constant':
      return [
        { ...claim, to: target, value: checkUint64(`${name}.value`, route['value'], true) },
        handlers,
      ]
    case 'device':
      return [
        { ...claim, to: target },
        { ...handlers, device: checkDevice(name, route['device']) },
      ]
    case 'queue':
    case 'coalesce': {
      const onBatch = required(name, route, 'onBatch') as PostedTarget['onBatch']
      const given = route['value']
      const read = given === undefined ? {} : { value: checkUint64(`${name}.value`, given, true) }
      return [
        { ...claim, to: target, ...read },
        { ...handlers, onBatch },
      ]
    }
    case 'event': {
      const onEvent = required(name, route, 'onEvent') as EventTarget['onEvent']
      return [
        { ...claim, to: target, ...checkMatch(name, route) },
        { ...handlers, onEvent },
      ]
    }
    default:
      return [{ ...claim, to: target }, handlers]
  }
}

function required(name: string, route: Record<string, unknown>, key: string): unknown {
  const handler = route[key]
  return typeof handler === 'function' ? handler : invalid(`${name}.${key}`, 'a function', handler)
}

function checkMatch(
  name: string,
  route: Record<string, unknown>,
): Pick<NativeRoute, 'datamatch' | 'size'> {
  const { datamatch, size } = route
  if (datamatch === undefined && size === undefined) return {}
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) {
    return invalid(`${name}.size`, '1, 2, 4 or 8 with a datamatch', size)
  }
  return { datamatch: checkUint64(`${name}.datamatch`, datamatch, true), size }
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
    return [{ gpa: first, length }, `gpa 0x${first.toString(16)}`]
  }
  const first = checkInteger(`${name}.port`, port, 0, 0xffff)
  return [{ port: first, length }, `port 0x${first.toString(16)}`]
}

function checkDevice(name: string, value: unknown): Device {
  if (typeof value !== 'object' || value === null) {
    return invalid(`${name}.device`, 'an object with read or write', value)
  }
  const { read, write } = value as Device
  checkFunction(`${name}.device.read`, read)
  checkFunction(`${name}.device.write`, write)
  if (!read && !write) invalid(`${name}.device`, 'an object with read or write', value)
  return value as Device
}
