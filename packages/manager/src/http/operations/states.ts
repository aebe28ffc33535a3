import type { Operation } from '../operation.ts'
import { arrayOf, nameSchema, objectOf, ref } from '../schemas.ts'

/** Kept states of machines. */
export const states: readonly Operation[] = [
  {
    kind: 'plain',
    id: 'listSnapshots',
    method: 'GET',
    path: '/v1/machines/{name}/snapshots',
    summary: 'Its snapshots, oldest first',
    answer: objectOf({ snapshots: arrayOf(ref('Snapshot')) }),
    handle: async ({ supervisor, name }) => ({ snapshots: await supervisor.snapshots(name) }),
  },
  {
    kind: 'plain',
    id: 'saveSnapshot',
    method: 'POST',
    path: '/v1/machines/{name}/snapshots',
    summary: 'Saves the state of a machine that runs or is paused; it goes on',
    body: objectOf({ name: nameSchema, 'description?': { type: 'string', maxLength: 4096 } }),
    answer: ref('Snapshot'),
    errors: [409],
    handle: ({ supervisor, name, body: { name: snapshot, ...options } }) =>
      supervisor.saveSnapshot(name, snapshot, options),
  },
  {
    kind: 'plain',
    id: 'removeSnapshot',
    method: 'DELETE',
    path: '/v1/machines/{name}/snapshots/{snapshot}',
    summary: 'Forgets a snapshot',
    answer: undefined,
    handle: ({ supervisor, name, snapshot }) => supervisor.removeSnapshot(name, snapshot),
  },
  {
    kind: 'plain',
    id: 'restoreSnapshot',
    method: 'POST',
    path: '/v1/machines/{name}/snapshots/{snapshot}/restore',
    summary: 'Makes it what it was; a machine that does not run is started',
    answer: ref('Machine'),
    errors: [409],
    handle: ({ supervisor, name, snapshot }) => supervisor.restoreSnapshot(name, snapshot),
  },
  {
    kind: 'plain',
    id: 'saveMachine',
    method: 'POST',
    path: '/v1/machines/{name}/save',
    summary: 'Saves its state and ends it; its next start goes on there',
    answer: ref('Machine'),
    errors: [409],
    handle: ({ supervisor, name }) => supervisor.save(name),
  },
  {
    kind: 'plain',
    id: 'removeSaved',
    method: 'DELETE',
    path: '/v1/machines/{name}/saved',
    summary: 'Forgets the state with which its next start would go on',
    answer: undefined,
    errors: [409],
    handle: ({ supervisor, name }) => supervisor.removeSaved(name),
  },
]
