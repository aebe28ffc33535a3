import { ERROR, fail, FROM } from '../errors.ts'
import { row, type Row } from '../rpc/row.ts'
import { procedures } from '../xdr/procedures.ts'

/** What a client may rely on, by the protocol's numbers. */
const FEATURES = new Set([
  // The server is a remote one.
  2,
  // Typed parameters may be strings.
  9,
  // It answers signs of life.
  10,
  // Callbacks for events have numbers.
  14,
  // It takes callbacks for the end of the connection.
  15,
])

const READ_ONLY = 1
const NO_ALIASES = 2
const FLAGS = READ_ONLY | NO_ALIASES
/** Nobody is asked who they are: who reaches the socket may do all. */
const NO_AUTHENTICATION = 0

/** From the first call to the last. */
export const sessionRows: readonly Row[] = [
  row(procedures.authList, () => ({ types: [NO_AUTHENTICATION] })),
  row(procedures.connectOpen, (connection, { name, flags }) => {
    if ((flags & ~FLAGS) !== 0) fail(ERROR.invalidArgument, `unknown flags ${flags}`, FROM.rpc)
    connection.open(name ?? '', (flags & READ_ONLY) !== 0)
  }),
  row(procedures.connectClose, (connection) => connection.closeAfterAnswer()),
  row(procedures.connectSupportsFeature, (_, { feature }) => ({
    supported: FEATURES.has(feature) ? 1 : 0,
  })),
  // The end of the connection to the machines is that of the socket, which the client sees.
  row(procedures.connectRegisterCloseCallback, () => {}),
  row(procedures.connectUnregisterCloseCallback, () => {}),
  row(procedures.connectSetIdentity, () => {}),
  row(procedures.connectIsSecure, () => ({ secure: 1 })),
]
