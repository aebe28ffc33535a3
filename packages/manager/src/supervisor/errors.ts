/**
 * What a {@link ManagerError} says in `code`.
 *
 * @category Manager
 */
export type ManagerErrorCode =
  | 'ERR_NOT_FOUND'
  | 'ERR_EXISTS'
  | 'ERR_STATE'
  | 'ERR_FORBIDDEN'
  | 'ERR_INVALID_OPTION'
  | 'ERR_LIMIT'
  | 'ERR_STORE'
  | 'ERR_SOCKET'
  | 'ERR_DAEMON'
  | 'ERR_SNAPSHOT'
  | 'ERR_TIMEOUT'
  | 'ERR_MACHINE'
  | 'ERR_EVENTS_GONE'
  | 'ERR_NOT_SUPPORTED'
  | 'ERR_INTERNAL'

/**
 * The error of the manager: `code` for programs, a message with value and remedy for people.
 *
 * @category Manager
 */
export class ManagerError extends Error {
  /** Always `ManagerError`, also where there are two copies of the class. */
  override readonly name = 'ManagerError'
  /** What kind it is. */
  readonly code: ManagerErrorCode

  /** Makes one. */
  constructor(code: ManagerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
