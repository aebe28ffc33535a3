import { eventRows } from './events/rows.ts'
import { handlerRows } from './handlers/index.ts'
import type { Row } from './rpc/row.ts'
import { sessionRows } from './session/rows.ts'

/** A row for each procedure that is answered: number, name, arguments, result and handler. */
export const rows: readonly Row[] = [...sessionRows, ...eventRows, ...handlerRows]
