import type { Row } from '../rpc/row.ts'
import { connectRows } from './connect.ts'

/** What is answered about machines and the host. */
export const handlerRows: readonly Row[] = [...connectRows]
