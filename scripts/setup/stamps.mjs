// A stamp holds the hashes of what a step reads and of what it writes into the repository, and
// is written only after the step succeeded.
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'

const SKIPPED_FOLDERS = new Set(['target', 'node_modules'])

/** Every file at or below `path`, sorted; none if there is nothing. */
function filesBelow(path) {
  const full = join(root, path)
  if (!existsSync(full)) return []
  if (!statSync(full).isDirectory()) return [path]
  return readdirSync(full, { withFileTypes: true })
    .filter((entry) => !SKIPPED_FOLDERS.has(entry.name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => filesBelow(join(path, entry.name)))
}

/** Hash of the files' names and bytes, and of `extra`. Content, as a checkout changes times and not bytes. */
export function hashInputs(paths, extra = '') {
  const hash = createHash('sha256').update(extra)
  for (const file of paths.flatMap(filesBelow)) {
    const bytes = readFileSync(join(root, file))
    hash.update(`\0${file}\0${bytes.length}\0`).update(bytes)
  }
  return hash.digest('hex')
}

const stampFile = (name) => join(root, '.cache', 'setup', name)

export function isCurrent(name, stamp, outputs) {
  if (!outputs.every((path) => existsSync(join(root, path)))) return false
  return existsSync(stampFile(name)) && readFileSync(stampFile(name), 'utf8') === stamp
}

/** Before a step runs: an interrupted one must not look done. */
export function dropStamp(name) {
  rmSync(stampFile(name), { force: true })
}

export function writeStamp(name, stamp) {
  mkdirSync(join(root, '.cache', 'setup'), { recursive: true })
  writeFileSync(stampFile(name), stamp)
}
