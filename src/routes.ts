import type { EventBatch } from './batch.ts'
import {
  checkFunction,
  checkInteger,
  checkKeys,
  checkObject,
  checkUint64,
  checkWord,
} from './check.ts'
import { invalid } from './errors.ts'
import type { NativeRoute } from './seam.ts'

/** What a route claims: ports, or guest physical addresses. An access belongs to the route of its first byte. */
export type Claim =
  | {
      /** First I/O port, 0 to 0xffff. */
      port: number
      gpa?: never
      /** Ports, default 1. */
      length?: number
    }
  | {
      /** First guest physical address, outside writable memory. */
      gpa: number
      port?: never
      /** Bytes, default 1, up to 4 GiB. */
      length?: number
    }

/**
 * A device in TypeScript. It knows its offset and the value, never where it sits. The vCPU waits for it.
 *
 * Under `run()` a method may return a promise; under `runSync()` that is `ERR_ASYNC_HANDLER`. String
 * instructions call once for each item.
 *
 * @example
 * ```ts
 * const queue = [...Buffer.from('hi\0')]
 * const keyboard: Device = { read: () => queue.shift() ?? 0 }
 * ```
 */
export interface Device {
  /**
   * Gives the value of a read, of which the low `size` bytes count. Without this method reads are all ones.
   *
   * @param offset distance from the route's first port or address
   * @param size 1, 2, 4 or 8 bytes
   * @param vcpu index of the vCPU that asks
   */
  read?(offset: number, size: number, vcpu: number): number | bigint | Promise<number | bigint>
  /**
   * Takes a value; a bigint when `size` is 8, else a number. Without this method writes are dropped.
   *
   * @param offset distance from the route's first port or address
   * @param size 1, 2, 4 or 8 bytes
   * @param value what the guest wrote
   * @param vcpu index of the vCPU that asks
   */
  write?(offset: number, size: number, value: number | bigint, vcpu: number): unknown
}

/** Text: to `onData` in batches, else into `result.output`. Reads are all ones. */
export interface ConsoleTarget {
  to: 'console'
  /** Gets the bytes in the order in which the guest wrote them; when it returns a promise, the vCPU waits. */
  onData?: (bytes: Uint8Array) => unknown
  device?: never
}

/** Reads give `value`, writes are dropped. */
export interface ConstantTarget {
  to: 'constant'
  /** The low bytes count, as many as the guest reads. */
  value: number | bigint
  device?: never
}

/** `discard` and `count`: writes are dropped, reads are all ones; `vm.counters()` counts both. `stop`: a write ends the run with reason `'exit-port'`. */
export interface PlainTarget {
  to: 'discard' | 'count' | 'stop'
  device?: never
}

/** JavaScript answers. */
export interface DeviceTarget {
  to?: 'device'
  device: Device
}

/**
 * Writes go into a bounded ring and nobody waits; a full ring makes the vCPU wait. `coalesce` lets the
 * kernel gather them without an exit (KVM API, `KVM_REGISTER_COALESCED_MMIO`), which delays them more.
 */
export interface PostedTarget {
  to: 'queue' | 'coalesce'
  /**
   * Gets the writes in order, none is lost. While a promise that it returns is open, further batches wait;
   * at a run's end they do not.
   */
  onBatch: (batch: EventBatch) => unknown
  /** What reads give; without it they are not claimed. */
  value?: number | bigint
  device?: never
}

/** The kernel counts writes to one address without an exit (KVM API, `KVM_IOEVENTFD`). Reads are not claimed. */
export interface EventTarget {
  to: 'event'
  /** Gets how many writes came since the last call, at least 1. */
  onEvent: (count: number) => unknown
  /** Only writes of this value and `size` count; the others are not claimed. */
  datamatch?: number | bigint
  /** 1, 2, 4 or 8 bytes; goes with `datamatch`. */
  size?: 1 | 2 | 4 | 8
  device?: never
}

/** Where a route's accesses go. */
export type Target =
  | ConsoleTarget
  | ConstantTarget
  | PlainTarget
  | DeviceTarget
  | PostedTarget
  | EventTarget

/** A claim and where its accesses go. */
export type Route = Claim & Target

/** The JavaScript side of a route. */
export interface Handlers {
  /** For messages. */
  readonly name: string
  readonly device?: Device
  readonly onData?: (bytes: Uint8Array) => unknown
  readonly onBatch?: (batch: EventBatch) => unknown
  readonly onEvent?: (count: number) => unknown
}

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
export function checkRoute(value: unknown, index: number): [NativeRoute, Handlers] {
  const name = `routes[${index}]`
  const route = checkObject(name, value)
  const to = route['to'] === undefined && 'device' in route ? 'device' : route['to']
  const target = checkWord(`${name}.to`, to, targets)
  checkKeys(name, route, ['port', 'gpa', 'length', 'to', ...keys[target]])
  const [claim, place] = checkClaim(name, route)
  const handlers = { name: `${name} (${place})` }
  switch (target) {
    case 'console': {
      checkFunction(`${name}.onData`, route['onData'])
      const onData = route['onData'] as ConsoleTarget['onData']
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
  const device = value as Device
  checkFunction(`${name}.device.read`, device.read)
  checkFunction(`${name}.device.write`, device.write)
  if (!device.read && !device.write)
    invalid(`${name}.device`, 'an object with read or write', value)
  return device
}
