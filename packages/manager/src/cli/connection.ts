import { type Client, connect } from '../client/index.ts'
import { daemonSockets, runtimeDirectory } from '../paths/index.ts'
import { type Values, textOf } from './verb.ts'

/** Where the daemon is: `--socket`, `--runtime`, `VMEXIT_SOCKET`, or the user's own place. */
function socketOf(values: Values): string {
  const runtime = textOf(values, 'runtime')
  const given =
    textOf(values, 'socket') ??
    (runtime === undefined ? process.env['VMEXIT_SOCKET'] || undefined : undefined)
  return given ?? daemonSockets(runtimeDirectory(runtime)).api
}

/** Makes the client when it is first asked for. */
export class Connection {
  readonly #values: Values
  #client: Client | undefined

  /** Of these options. */
  constructor(values: Values) {
    this.#values = values
  }

  readonly open = async (): Promise<Client> =>
    (this.#client ??= connect({ socket: socketOf(this.#values) }))

  /** Ends what is open, so that nothing keeps this process. */
  async close(): Promise<void> {
    await this.#client?.close()
  }
}
