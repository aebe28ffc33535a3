import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'

const keyLength = 32

/** The key in a file, which is made if it is not there: a browser outlives a daemon. */
export function keyIn(file: string): Buffer {
  const found = read(file)
  if (found?.length === keyLength) return found
  const key = randomBytes(keyLength)
  const fresh = `${file}.${process.pid}`
  writeFileSync(fresh, key, { mode: 0o600 })
  renameSync(fresh, file)
  return key
}

function read(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
