import type { MachineView, SnapshotView, Supervisor } from '../../supervisor/interface.ts'
import { ManagerError } from '../../supervisor/errors.ts'
import { ERROR, fail, FROM } from '../errors.ts'
import type { Domain, Snapshot } from '../xdr/types.ts'
import { readSnapshot, secondsOf, snapshotXml, type AskedSnapshot } from '../xml/snapshot.ts'
import type { Handlers } from './call.ts'
import { atMost } from './lists.ts'
import { activeOf, checkFlags, domainOf, machineOf } from './machines.ts'

/** `virDomainSnapshotCreateFlags` that say what is done anyway: current, atomic, live. */
const createFlags = 2 | 128 | 256

/** `virDomainSnapshotRevertFlags`. */
const REVERT = { running: 1, paused: 2, force: 4 } as const

/** `virDomainSnapshotDeleteFlags`. */
const DELETE = { children: 1, childrenOnly: 4 } as const

/**
 * `virDomainSnapshotListFlags`, in groups of alternatives, with the flag that ours fit: each is a
 * leaf and a root, of a machine that ran, kept here, in files of ours.
 */
const groups = [
  { asked: 0x0c, fits: 0x04 },
  { asked: 0x12, fits: 0x02 },
  { asked: 0xe0, fits: 0x40 },
  { asked: 0x300, fits: 0x100 },
] as const

const listFlags = 0x7ff

/** What each machine goes on with, by UUID: the last that was made or gone back to. */
const currents = new WeakMap<Supervisor, Map<string, string>>()

function setCurrent(supervisor: Supervisor, uuid: string, name: string): void {
  const there = new Set(supervisor.list().map((view) => view.uuid))
  const before = [...(currents.get(supervisor) ?? [])]
  const names = new Map(before.filter(([machine]) => there.has(machine)))
  currents.set(supervisor, names)
  names.set(uuid, name)
}

interface Found {
  readonly view: MachineView
  readonly all: readonly SnapshotView[]
}

async function snapshotsOf(supervisor: Supervisor, dom: Domain): Promise<Found> {
  const view = machineOf(supervisor, dom)
  return { view, all: await supervisor.snapshots(view.name) }
}

async function snapshotOf(
  supervisor: Supervisor,
  { name, dom }: Snapshot,
): Promise<Found & { readonly one: SnapshotView }> {
  const found = await snapshotsOf(supervisor, dom)
  const one = found.all.find((each) => each.name === name)
  return one === undefined
    ? noSnapshot(`${found.view.name} has no snapshot '${name}'`)
    : { ...found, one }
}

function noSnapshot(message: string): never {
  return fail(ERROR.noSnapshot, message, FROM.snapshot)
}

function currentOf(supervisor: Supervisor, { view, all }: Found): SnapshotView | undefined {
  const name = currents.get(supervisor)?.get(view.uuid)
  return all.find((each) => each.name === name) ?? all.at(-1)
}

function chosen(all: readonly SnapshotView[], flags: number): readonly SnapshotView[] {
  checkFlags(flags, listFlags)
  const fits = groups.every((group) => (flags & group.asked) === 0 || (flags & group.fits) !== 0)
  return fits ? all : []
}

function named({ name }: SnapshotView, view: MachineView): Snapshot {
  return { name, dom: domainOf(view) }
}

function read(text: string): AskedSnapshot {
  try {
    return readSnapshot(text)
  } catch (error) {
    if (!(error instanceof ManagerError)) throw error
    return fail(ERROR.xml, error.message, FROM.xml)
  }
}

/** A snapshot without a name is called by the time, in seconds, as libvirt's are. */
function freeName(all: readonly SnapshotView[]): string {
  let seconds = secondsOf(new Date().toISOString())
  while (all.some(({ name }) => name === String(seconds))) seconds += 1
  return String(seconds)
}

/** Nothing is below a snapshot: each stands for itself. */
const noChildren = async (
  { supervisor }: { readonly supervisor: Supervisor },
  { snap }: { readonly snap: Snapshot },
): Promise<undefined> => {
  await snapshotOf(supervisor, snap)
}

/** States of a machine that are kept by name. */
export const snapshotHandlers = {
  domainSnapshotCreateXml: async ({ supervisor }, { dom, xml_desc, flags }) => {
    checkFlags(flags, createFlags)
    const { name, description } = read(xml_desc)
    const view = activeOf(supervisor, dom)
    const called = name ?? freeName(await supervisor.snapshots(view.name))
    const options = description === undefined ? {} : { description }
    const one = await supervisor.saveSnapshot(view.name, called, options)
    setCurrent(supervisor, view.uuid, one.name)
    return { snap: named(one, view) }
  },
  domainSnapshotGetXmlDesc: async ({ supervisor }, { snap, flags }) => {
    // VIR_DOMAIN_SNAPSHOT_XML_SECURE: there is nothing secret in it.
    checkFlags(flags, 1)
    const { one, view } = await snapshotOf(supervisor, snap)
    return { xml: snapshotXml(one, view) }
  },
  domainSnapshotNum: async ({ supervisor }, { dom, flags }) => ({
    num: chosen((await snapshotsOf(supervisor, dom)).all, flags).length,
  }),
  domainSnapshotListNames: async ({ supervisor }, { dom, maxnames, flags }) => {
    const { all } = await snapshotsOf(supervisor, dom)
    return { names: atMost(chosen(all, flags), maxnames).map(({ name }) => name) }
  },
  domainListAllSnapshots: async ({ supervisor }, { dom, need_results, flags }) => {
    const { all, view } = await snapshotsOf(supervisor, dom)
    const list = chosen(all, flags)
    const snapshots = need_results === 0 ? [] : list.map((one) => named(one, view))
    return { snapshots, ret: list.length }
  },
  domainSnapshotLookupByName: async ({ supervisor }, { dom, name, flags }) => {
    checkFlags(flags, 0)
    const { one, view } = await snapshotOf(supervisor, { name, dom })
    return { snap: named(one, view) }
  },
  domainHasCurrentSnapshot: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    const found = await snapshotsOf(supervisor, dom)
    return { result: found.all.length > 0 ? 1 : 0 }
  },
  domainSnapshotCurrent: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    const found = await snapshotsOf(supervisor, dom)
    const one = currentOf(supervisor, found) ?? noSnapshot(`${found.view.name} has no snapshot`)
    return { snap: named(one, found.view) }
  },
  domainSnapshotIsCurrent: async ({ supervisor }, { snap, flags }) => {
    checkFlags(flags, 0)
    const found = await snapshotOf(supervisor, snap)
    return { current: currentOf(supervisor, found) === found.one ? 1 : 0 }
  },
  domainSnapshotHasMetadata: async ({ supervisor }, { snap, flags }) => {
    checkFlags(flags, 0)
    await snapshotOf(supervisor, snap)
    return { metadata: 1 }
  },
  domainSnapshotGetParent: async ({ supervisor }, { snap, flags }) => {
    checkFlags(flags, 0)
    const { one } = await snapshotOf(supervisor, snap)
    return noSnapshot(`the snapshot '${one.name}' stands for itself, it has no parent`)
  },
  domainSnapshotNumChildren: async (connection, { snap }) => {
    await noChildren(connection, { snap })
    return { num: 0 }
  },
  domainSnapshotListChildrenNames: async (connection, { snap }) => {
    await noChildren(connection, { snap })
    return { names: [] }
  },
  domainSnapshotListAllChildren: async (connection, { snapshot: snap }) => {
    await noChildren(connection, { snap })
    return { snapshots: [], ret: 0 }
  },
  domainRevertToSnapshot: async ({ supervisor }, { snap, flags }) => {
    checkFlags(flags, REVERT.running | REVERT.paused | REVERT.force)
    const { one, view } = await snapshotOf(supervisor, snap)
    const { state } = await supervisor.restoreSnapshot(view.name, one.name)
    setCurrent(supervisor, view.uuid, one.name)
    if ((flags & REVERT.paused) !== 0 && state === 'running') await supervisor.pause(view.name)
    if ((flags & REVERT.running) !== 0 && state === 'paused') await supervisor.resume(view.name)
  },
  domainSnapshotDelete: async ({ supervisor }, { snap, flags }) => {
    checkFlags(flags, DELETE.children | DELETE.childrenOnly)
    const { one, view } = await snapshotOf(supervisor, snap)
    if ((flags & DELETE.childrenOnly) === 0) await supervisor.removeSnapshot(view.name, one.name)
  },
} satisfies Handlers
