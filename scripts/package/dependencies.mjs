// What users of the manager and the fleet get beside vmexit's own packages, from here: no other registry is asked.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { must, root } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'

const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** Where a package finds another: beside what it has of its own, or above. */
function folderOf(name, from) {
  const folder = join(from, 'node_modules', name)
  if (existsSync(folder)) return folder
  if (from === root) throw new Error(`${name} is not installed`)
  return folderOf(name, join(from, '..'))
}

/** What the package in a folder depends on, and what that depends on, by folder. */
function below(from, found = new Map()) {
  for (const name of Object.keys(manifestIn(from).dependencies ?? {})) {
    const folder = folderOf(name, from)
    if (found.has(folder)) continue
    found.set(folder, { folder, manifest: manifestIn(folder) })
    below(folder, found)
  }
  return found
}

/** Fields that an install would heed, and that are for those who work on a package. */
const THEIRS = ['scripts', 'devDependencies']

/** Puts each of them into the registry, as they are installed here. */
export function addDependencies(registry, say) {
  const all = new Map()
  for (const name of ['manager', 'fleet']) below(join(root, 'packages', name), all)
  const found = [...all.values()]
  say(`taking in ${found.length} packages of others, as they are installed here`)
  for (const { folder, manifest } of found) {
    const to = temporaryDirectory()
    must(['npm', 'pack', folder, '--silent', '--ignore-scripts', '--pack-destination', to])
    const fields = Object.entries(manifest).filter(([key]) => !THEIRS.includes(key))
    const tarball = readFileSync(join(to, readdirSync(to)[0]))
    registry.add(Object.fromEntries(fields), tarball)
  }
}
