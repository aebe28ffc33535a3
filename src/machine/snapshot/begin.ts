import { fail, take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { type CheckedCard, checkNetwork } from '../../options/virtio/network.ts'
import { type CheckedDisk, type DiskDevice, otherDisksKey } from '../../options/virtio/disks.ts'
import { checkMachineOptions } from '../../options/options.ts'
import { type Handlers, routesKey } from '../../options/routes.ts'
import { checkShape, optional, required } from '../../options/shape.ts'
import { StopHandlers } from '../../debug/stops/handlers.ts'
import { Symbols } from '../../debug/symbols.ts'
import { Devices } from '../devices.ts'
import { makeEnds } from '../remote/ends.ts'
import { summarize } from './summary.ts'
import type { Content } from './content.ts'
import type { Parts } from './parts.ts'
import { checkSnapshot, contentOf } from './snapshot.ts'
import { type ProgramOptions, programOption } from '../../native/friends.ts'
import type { States } from './states.ts'

const snapshotShape = {
  snapshot: required(checkSnapshot),
  routes: routesKey,
  network: optional(checkNetwork),
  disks: otherDisksKey,
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
  const { config, handlers: own, network, disks } = checkMachineOptions(options)
  const user = (options as ProgramOptions)[programOption]
  const machine = take(native.NativeMachine.create({ ...config, ...(user && { user }) }))
  return {
    machine,
    disks,
    ...makeEnds(machine, { disks, network }, config.ports),
    network: config.network.map(({ mac }, index) => ({ mac, isPasst: !network[index]?.frames })),
    vcpus: config.vcpus,
    symbols: Symbols.of(config.payload.image),
    stops: new StopHandlers(),
    hasSerial: config.serial,
    summary: summarize(config),
    handlers: new Map(own.entries()),
    devices: new Devices(),
    states: new Map(),
  }
}

function again(options: unknown): Beginning {
  const {
    snapshot,
    routes,
    network,
    disks: given,
  } = checkShape('options', options, snapshotShape, '')
  const content = contentOf(snapshot)
  const {
    native: saved,
    vcpus,
    symbols,
    hasSerial,
    summary,
    handlers,
    states,
    binding,
    ports,
  } = content
  const cards = cardsOf(content, network)
  const rebindings = new Map(routes.map((pair) => [pair[1].place as string, pair]))
  const own = handlers.map((handler) =>
    rebound(handler, rebindings.get(handler.place!)?.[1], content),
  )
  const wanted = new Map(binding?.routes)
  for (const [place, [route]] of rebindings) wanted.set(place, route)
  const disks = disksOf(content, given)
  const others = given.map((disk) => disk?.[0] ?? null)
  const machine = take(saved.machine([...wanted.values()], others))
  for (const { device } of own) if (device) binding?.spare.delete(device)
  return {
    machine,
    vcpus,
    symbols,
    stops: new StopHandlers(),
    hasSerial,
    summary,
    handlers: new Map(own.entries()),
    devices: new Devices(),
    disks,
    ...makeEnds(machine, { disks, network: cards }, ports),
    network: cards.map(({ frames }, index) => ({
      mac: content.network[index]!.mac,
      isPasst: !frames,
    })),
    states,
  }
}

/** Who answers the disks of a machine that goes on elsewhere. What was not given stays. */
function disksOf(
  { disks }: Content,
  given: readonly (CheckedDisk | undefined)[],
): readonly (DiskDevice | undefined)[] {
  const places = Array.from({ length: Math.max(disks.length, given.length) }, (_, index) => index)
  return places.map((index) => (given[index] ? given[index][1] : disks[index]))
}

/** The cards of a machine that goes on elsewhere. A stream has one machine. */
function cardsOf(
  { network, binding }: Content,
  given: readonly CheckedCard[] | undefined,
): readonly CheckedCard[] {
  if (given && given.length !== network.length)
    return fail('ERR_SNAPSHOT', `network must have ${network.length} cards, as the snapshot has`)
  return network.map(({ mac, isPasst }, index) => {
    const card = given?.[index]
    const name = `network[${index}]`
    if (!card && !isPasst) {
      const what = binding
        ? `${name} has a stream or passt, which a file has not`
        : `${name} has a stream, which is the first machine's`
      return fail('ERR_SNAPSHOT', `${what}; give network another one in its place`)
    }
    if (card?.mac !== undefined && card.mac !== mac)
      return fail('ERR_SNAPSHOT', `${name}.mac must be ${mac}, as the guest knows it`)
    return card ?? { frames: undefined, mac }
  })
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
