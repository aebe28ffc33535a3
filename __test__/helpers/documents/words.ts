// The words of unions in the sources, by which documents are held.
import { readFileSync } from 'node:fs'

/** The members of a union of strings. */
function union(path: string, name: string): readonly string[] {
  const [, text = ''] =
    new RegExp(`type ${name} =([^;]*?)(?:\\n\\n|;|$)`).exec(readFileSync(path, 'utf8')) ?? []
  return [...text.matchAll(/'([\w-]+)'/g)].map(([, word = '']) => word)
}

/** What a `VmError` says in `code`. */
export const errorCodes = union('index.d.ts', 'NativeErrorCode')
/** What a `ManagerError` says in `code`. */
export const managerCodes = union('packages/manager/src/supervisor/errors.ts', 'ManagerErrorCode')
