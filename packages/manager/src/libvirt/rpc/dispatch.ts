import { asLibvirtError, ERROR, FROM, LibvirtError, unsupported, fail } from '../errors.ts'
import { decode, encode } from '../xdr/shapes.ts'
import { REMOTE, type Connection } from './connection.ts'
import { STATUS, type Header } from './frames.ts'
import type { Row } from './row.ts'
import { Stream } from './streams.ts'

/** Procedures of the protocol stand below; what is above is none. */
const HIGHEST_PROCEDURE = 1000

/** Answers calls by the rows of a table, and counts what nobody answers. */
export class Dispatcher {
  readonly #rows: ReadonlyMap<number, Row>
  readonly #names: ReadonlyMap<number, string>
  readonly #log: (line: string) => void
  readonly #counts = new Map<string, number>()
  #calls = 0

  /** `names` has procedures that have no row, too. */
  constructor(
    rows: readonly Row[],
    names: ReadonlyMap<number, string>,
    log: (line: string) => void,
  ) {
    this.#rows = new Map(rows.map((row) => [row.number, row]))
    this.#names = names
    this.#log = log
  }

  /** How many calls there were, and how many of each procedure that nobody answers. */
  counts(): Record<string, number> {
    return { calls: this.#calls, ...Object.fromEntries(this.#counts) }
  }

  /** Answers one call. Never rejects. */
  async call(connection: Connection, header: Header, payload: Buffer): Promise<void> {
    const { procedure, serial } = header
    let stream: Stream | undefined
    try {
      this.#calls++
      const row = this.#find(connection, header)
      const args = argumentsOf(row, payload)
      const result = await row.handler(connection, args, {
        openStream(end) {
          const added = connection.streams.add(procedure, serial, end)
          if (added instanceof LibvirtError) throw added
          stream = added
        },
      })
      connection.answer(procedure, serial, encode(row.result, result), stream)
    } catch (error) {
      stream?.destroy()
      connection.refuse(procedure, serial, asLibvirtError(error))
    }
  }

  /** Answers a call of another program or of another version of ours. */
  refuseProgram(connection: Connection, header: Header): void {
    const { program, version, procedure, serial } = header
    const what = `Cannot find program ${program} version ${version}`
    this.#count(`program ${program === REMOTE.program ? 'version' : 'other'}`, what)
    const error = new LibvirtError(ERROR.rpc, what, FROM.rpc)
    connection.refuse(procedure, serial, error, { program, version })
  }

  #find(connection: Connection, { procedure, status }: Header): Row {
    if (status !== STATUS.ok) fail(ERROR.rpc, `Unexpected message status ${status}`, FROM.rpc)
    const row = this.#rows.get(procedure)
    if (row === undefined) {
      const name = this.#names.get(procedure) ?? `procedure ${procedure}`
      const isKnown = procedure > 0 && procedure <= HIGHEST_PROCEDURE
      this.#count(isKnown ? name : 'procedure other', `${name} (${procedure}) is not supported`)
      return unsupported(name)
    }
    if (row.access !== 'always' && !connection.isOpen) {
      fail(ERROR.invalidConnection, 'the connection is not open', FROM.rpc)
    }
    if (row.access === 'write' && connection.isReadOnly) {
      const what = `${row.name} is not for a connection that was opened to read only`
      fail(ERROR.operationDenied, what)
    }
    return row
  }

  /** Counts, and writes a line at the first time. */
  #count(what: string, line: string): void {
    const key = `unsupported ${what}`
    const before = this.#counts.get(key) ?? 0
    this.#counts.set(key, before + 1)
    if (before === 0) this.#log(`libvirt: a client asked in vain: ${line}`)
  }
}

function argumentsOf(row: Row, payload: Buffer): unknown {
  try {
    return decode(row.arguments, payload)
  } catch (error) {
    const why = error instanceof Error ? error.message : ''
    return fail(ERROR.rpc, `arguments of ${row.name}: ${why}`, FROM.rpc)
  }
}
