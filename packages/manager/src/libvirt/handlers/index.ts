import type { Row } from '../rpc/row.ts'
import { rowsOf } from './call.ts'
import { definitionHandlers } from './definitions.ts'
import { deviceHandlers } from './devices.ts'
import { factHandlers } from './facts.ts'
import { jobHandlers } from './jobs.ts'
import { lifecycleHandlers } from './lifecycle.ts'
import { listHandlers } from './lists.ts'
import { nodeHandlers } from './node/node.ts'
import { nothingHandlers } from './node/nothing.ts'
import { storageHandlers } from './node/storage.ts'
import { noteHandlers } from './notes.ts'
import { savedHandlers } from './saved.ts'
import { snapshotHandlers } from './snapshots.ts'
import { statsHandlers } from './stats.ts'

/** What is answered about machines and the host. */
export const handlerRows: readonly Row[] = [
  nodeHandlers,
  nothingHandlers,
  storageHandlers,
  listHandlers,
  definitionHandlers,
  lifecycleHandlers,
  factHandlers,
  statsHandlers,
  deviceHandlers,
  snapshotHandlers,
  savedHandlers,
  jobHandlers,
  noteHandlers,
].flatMap(rowsOf)
