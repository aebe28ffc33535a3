import test, { type ExecutionContext } from 'ava'

import { canonicalJson, newUuid } from '../src/definition/index.ts'
import { Machines } from '../src/store/machines.ts'
import type { MachineRecord } from '../src/store/record.ts'
import { type Fault, ModelDisk, errno } from './helpers/disk.ts'

const state = '/state'

const record = (name: string, vcpus: number): MachineRecord => ({
  version: 1,
  name,
  uuid: newUuid(),
  autostart: false,
  persistent: true,
  definition: { name, vcpus, payload: { guest: 'hello' } },
})

const [old, changed, other, fresh] = [
  record('a', 1),
  record('a', 2),
  record('b', 1),
  record('c', 1),
] as const

interface Scenario {
  /** What is done while the disk fails. */
  readonly act: (machines: Machines) => Promise<unknown>
  /** What the store may have afterwards. */
  readonly before: readonly MachineRecord[]
  readonly after: readonly MachineRecord[]
}

const kept = [old, other]
const scenarios: Record<string, Scenario> = {
  'a first machine': { act: (m) => m.save(fresh), before: kept, after: [...kept, fresh] },
  'a changed machine': { act: (m) => m.save(changed), before: kept, after: [changed, other] },
  'a removed machine': { act: (m) => m.remove('a'), before: kept, after: [other] },
}

/** A disk with two machines on it; nothing of them is pending. */
async function prepared(): Promise<{ disk: ModelDisk; machines: Machines }> {
  const disk = new ModelDisk()
  await disk.makeFolder(state)
  await disk.sync('/')
  const machines = await Machines.load(disk, state)
  for (const each of kept) await machines.save(each)
  return { disk, machines }
}

const texts = (records: readonly MachineRecord[]): string => canonicalJson(records)

/** How many operations a scenario has, as it is. */
async function operationsOf({ act, after }: Scenario, t: ExecutionContext): Promise<number> {
  const { disk, machines } = await prepared()
  disk.arm(() => undefined)
  await act(machines)
  t.is(texts(machines.list()), texts(after))
  t.true(disk.operations > 2)
  return disk.operations
}

for (const [title, scenario] of Object.entries(scenarios)) {
  test(`a loss of power at any moment: ${title} is the old or the new, never none`, async (t) => {
    const count = await operationsOf(scenario, t)
    const allowed = [texts(scenario.before), texts(scenario.after)] as const
    const seen = new Set<string>()
    for (let last = 0; last <= count; last++) {
      const { disk, machines } = await prepared()
      disk.arm((operation) => (operation >= last ? errno('EIO') : undefined))
      await scenario.act(machines).catch(() => undefined)
      for (const survivor of disk.survivors()) {
        const loaded = await Machines.load(survivor, state)
        t.deepEqual(loaded.problems, [], `after ${last} operations`)
        const found = texts(loaded.list())
        t.true(allowed.includes(found), `after ${last} operations: ${found}`)
        // What counts as done is done.
        if (last === count) t.is(found, allowed[1])
        seen.add(found)
        const names = loaded.list().map(({ name }) => name)
        t.deepEqual(
          survivor.paths(),
          [
            state,
            `${state}/machines`,
            ...names.flatMap((name) => [
              `${state}/machines/${name}`,
              `${state}/machines/${name}/machine.json`,
            ]),
          ].toSorted(),
        )
      }
    }
    t.is(seen.size, 2)
  })

  for (const [kind, failing] of Object.entries<(at: number) => Fault>({
    'one failing operation': (at) => (operation) => (operation === at ? errno('EIO') : undefined),
    'a disk that is full from then on': (at) => (operation, name) =>
      operation >= at && /create|write|makeFolder|sync/.test(name) ? errno('ENOSPC') : undefined,
    'a disk that is read-only from then on': (at) => (operation) =>
      operation >= at ? errno('EROFS') : undefined,
  })) {
    test(`${kind}: ${title} is the old or the new, and the store knows which`, async (t) => {
      const count = await operationsOf(scenario, t)
      const allowed = [texts(scenario.before), texts(scenario.after)] as const
      for (let at = 0; at < count; at++) {
        const { disk, machines } = await prepared()
        disk.arm(failing(at))
        const error = await scenario.act(machines).then(
          () => undefined,
          (thrown: unknown) => thrown as NodeJS.ErrnoException,
        )
        const found = texts(machines.list())
        if (error) t.is(error.code, 'ERR_STORE', error.stack!)
        else t.is(found, allowed[1])
        t.true(allowed.includes(found), `operation ${at}: ${found}`)
        disk.arm(() => undefined)
        t.is(texts((await Machines.load(disk, state)).list()), found, `operation ${at}`)
        // When the disk is well again, so is the store.
        await scenario.act(machines)
        t.is(texts(machines.list()), allowed[1])
      }
    })
  }
}

test('a failed writing leaves no debris beside what was there', async (t) => {
  const count = await operationsOf(scenarios['a changed machine']!, t)
  for (let at = 0; at < count; at++) {
    const { disk, machines } = await prepared()
    const before = disk.paths()
    disk.arm((operation, name) =>
      operation === at && name !== 'unlink' ? errno('ENOSPC') : undefined,
    )
    await machines.save(changed).catch(() => undefined)
    t.deepEqual(disk.paths(), before, `operation ${at}`)
  }
})

test('a loss of power at any moment: a snapshot is whole or not there', async (t) => {
  const memory = 'all of the memory'
  const act = async (disk: ModelDisk, machines: Machines): Promise<void> => {
    const draft = await machines.snapshots('a').begin('one')
    const file = await disk.create(`${draft.folder}/memory.vmexit`)
    await file.write(memory)
    await draft.commit({ state: 'paused' })
  }
  let count = Infinity
  const seen = new Set<number>()
  for (let last = 0; last <= count; last++) {
    const { disk, machines } = await prepared()
    disk.arm((operation) => (operation >= last ? errno('EIO') : undefined))
    const isDone = await act(disk, machines).then(
      () => true,
      () => false,
    )
    if (isDone) count = last
    for (const survivor of disk.survivors()) {
      const loaded = await Machines.load(survivor, state)
      t.is(texts(loaded.list()), texts(kept))
      const snapshots = loaded.snapshots('a')
      const found = await snapshots.list()
      seen.add(found.length)
      if (isDone) t.is(found.length, 1)
      if (found.length > 0) {
        const path = `${(await snapshots.find('one')).folder}/memory.vmexit`
        t.is(await survivor.read(path), memory)
      }
      t.false(survivor.paths().some((path) => path.includes('/.')))
      // It can be made, again or after all.
      if (found.length > 0) await snapshots.remove('one')
      await act(survivor, loaded)
      t.is((await snapshots.list()).length, 1)
    }
  }
  t.deepEqual([...seen].toSorted(), [0, 1])
})

test('a loss of power at any moment: a saved state is the old, the new or none, and whole', async (t) => {
  const act = async (disk: ModelDisk, machines: Machines, memory: string): Promise<void> => {
    const draft = await machines.snapshots('a').beginSaved()
    const file = await disk.create(`${draft.folder}/memory.vmexit`)
    await file.write(memory)
    await draft.commit({ state: 'running' })
  }
  let count = Infinity
  const seen = new Set<string | undefined>()
  for (let last = 0; last <= count; last++) {
    const { disk, machines } = await prepared()
    await act(disk, machines, 'old memory')
    disk.arm((operation) => (operation >= last ? errno('EIO') : undefined))
    const isDone = await act(disk, machines, 'new memory').then(
      () => true,
      () => false,
    )
    if (isDone) count = last
    for (const survivor of disk.survivors()) {
      const folder = await (await Machines.load(survivor, state)).snapshots('a').saved()
      const memory =
        folder === undefined ? undefined : await survivor.read(`${folder}/memory.vmexit`)
      t.true(['old memory', 'new memory', undefined].includes(memory), memory ?? 'none')
      if (isDone) t.is(memory, 'new memory')
      seen.add(memory)
    }
  }
  t.true(seen.has('old memory') && seen.has('new memory'))
})
