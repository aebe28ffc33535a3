import { fail, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkMachineOptions } from '../../options/options.ts'
import { type Handlers, routesKey } from '../../options/routes.ts'
import { type CheckedDisk, checkDisk } from '../../options/virtio/disks.ts'
import { checkArray } from '../../options/check.ts'
import { checkShape, otherwise, required } from '../../options/shape.ts'
import { Devices } from '../devices.ts'
import { remotesOf } from '../remote/ends.ts'
import { summarize } from './summary.ts'
import type { Content } from './content.ts'
import type { Parts } from './parts.ts'
import { checkSnapshot, contentOf } from './snapshot.ts'
import type { States } from './states.ts'

const { maxDisks } = native.limits()

/** Disks by their places; what is left out stays. */
function checkOthers(name: string, value: unknown): (CheckedDisk | undefined)[] {
  return checkArray(name, value, maxDisks, (item, at) =>
    item === undefined || item === null ? undefined : checkDisk(item, at),
  )
}

const snapshotShape = {
  snapshot: required(checkSnapshot),
  routes: routesKey,
  disks: otherwise<(CheckedDisk | undefined)[]>([], checkOthers),
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
  const { config, handlers: own, disks } = checkMachineOptions(options)
  const machine = take(native.NativeMachine.create(config))
  const answering = { disks: disks.map(([, device]) => device) }
  return {
    machine,
    vcpus: config.vcpus,
    hasSerial: config.serial,
    summary: summarize(config),
    handlers: new Map(own.entries()),
    devices: new Devices(),
    answering,
    remotes: remotesOf(machine, answering),
    states: new Map(),
  }
}

function again(options: unknown): Beginning {
  const { snapshot, routes, disks } = checkShape('options', options, snapshotShape, '')
  const content = contentOf(snapshot)
  const { native: saved, vcpus, hasSerial, summary, handlers, states, binding } = content
  const { answering: answeringBefore } = content
  const others = new Map(routes.map((pair) => [pair[1].place as string, pair]))
  const own = handlers.map((handler) => rebound(handler, others.get(handler.place!)?.[1], content))
  const wanted = new Map(binding?.routes)
  for (const [place, [route]] of others) wanted.set(place, route)
  const machine = take(
    saved.machine(
      [...wanted.values()],
      disks.map((disk) => disk?.[0] ?? null),
    ),
  )
  // One that was not given another stays what it is.
  const places = Math.max(disks.length, answeringBefore.disks.length)
  const answering = {
    disks: Array.from({ length: places }, (_, index) =>
      disks[index] ? disks[index][1] : answeringBefore.disks[index],
    ),
  }
  for (const { device } of own) if (device) binding?.spare.delete(device)
  return {
    machine,
    vcpus,
    hasSerial,
    summary,
    handlers: new Map(own.entries()),
    devices: new Devices(),
    answering,
    remotes: remotesOf(machine, answering),
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
