import { renameSync, writeFileSync } from 'node:fs'

import { identify } from '../store/index.ts'

/** Writes which process this is: its number, and when it began. */
export function writeIdentity(path: string): void {
  writeFileSync(`${path}.new`, `${JSON.stringify(identify())}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
