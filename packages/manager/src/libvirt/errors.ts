import { ManagerError, type ManagerErrorCode } from '../supervisor/errors.ts'

/** Numbers by which libvirt's clients tell errors apart. */
export const ERROR = {
  internal: 1,
  noSupport: 3,
  noConnection: 5,
  invalidConnection: 6,
  invalidArgument: 8,
  operationFailed: 9,
  xml: 27,
  domainExists: 28,
  operationDenied: 29,
  rpc: 39,
  noDomain: 42,
  noNetwork: 43,
  noStoragePool: 49,
  operationInvalid: 55,
  configUnsupported: 67,
  timeout: 68,
  noSnapshot: 72,
  invalidStream: 73,
  argumentUnsupported: 74,
  noMetadata: 80,
  overflow: 82,
  operationUnsupported: 84,
  resourceBusy: 87,
} as const

/** Numbers of the parts of libvirt that an error may come from. */
export const FROM = { xml: 5, domain: 6, rpc: 7, remote: 13, snapshot: 35, stream: 38 } as const

/** The longest message, in characters: some quote what a client sent. */
const MESSAGE_CHARACTERS = 4096

/** What a client is told. */
export class LibvirtError extends Error {
  override readonly name = 'LibvirtError'
  /** One of {@link ERROR}. */
  readonly code: number
  /** One of {@link FROM}. */
  readonly from: number

  constructor(code: number, message: string, from: number = FROM.domain, options?: ErrorOptions) {
    super(message.slice(0, MESSAGE_CHARACTERS), options)
    this.code = code
    this.from = from
  }
}

/** Ends a call with an error of the code. */
export function fail(code: number, message: string, from?: number): never {
  throw new LibvirtError(code, message, from)
}

/** Ends a call that nothing of ours answers. */
export function unsupported(what: string): never {
  throw new LibvirtError(
    ERROR.noSupport,
    `this function is not supported by the connection driver: ${what}`,
    FROM.remote,
  )
}

const CODES: Partial<Record<ManagerErrorCode, number>> = {
  ERR_NOT_FOUND: ERROR.noDomain,
  ERR_EXISTS: ERROR.domainExists,
  ERR_STATE: ERROR.operationInvalid,
  ERR_FORBIDDEN: ERROR.operationDenied,
  ERR_INVALID_OPTION: ERROR.invalidArgument,
  ERR_LIMIT: ERROR.operationFailed,
  ERR_STORE: ERROR.operationFailed,
  ERR_SOCKET: ERROR.operationFailed,
  ERR_SNAPSHOT: ERROR.operationFailed,
  ERR_MACHINE: ERROR.operationFailed,
  ERR_TIMEOUT: ERROR.timeout,
  ERR_NOT_SUPPORTED: ERROR.operationUnsupported,
}

/** What a client is told of what was thrown. */
export function asLibvirtError(thrown: unknown): LibvirtError {
  if (thrown instanceof LibvirtError) return thrown
  const cause = { cause: thrown }
  if (thrown instanceof ManagerError) {
    const code = CODES[thrown.code] ?? ERROR.internal
    return new LibvirtError(code, thrown.message, FROM.domain, cause)
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new LibvirtError(ERROR.internal, `internal error: ${message}`, FROM.domain, cause)
}
