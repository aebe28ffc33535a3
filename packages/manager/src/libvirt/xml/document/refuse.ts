import { ManagerError } from '../../../supervisor/errors.ts'

/** Says what is wrong with a document. */
export function refuse(message: string): never {
  throw new ManagerError('ERR_INVALID_OPTION', `XML: ${message}`)
}

/** A stranger's text in a message: short, and in quotes. */
export function shown(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return JSON.stringify(short)
}
