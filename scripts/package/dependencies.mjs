// What users of the manager get beside vmexit's own packages, from here: no other registry is asked.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { must, root } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'

const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** The folders of what a package depends on, and of what that depends on. */
function below(manifest, found = new Map()) {
  for (const name of Object.keys(manifest.dependencies ?? {})) {
    if (found.has(name)) continue
    const folder = join(root, 'node_modules', name)
    const own = manifestIn(folder)
    found.set(name, { folder, manifest: own })
    below(own, found)
  }
  return found
}

/** Fields that an install would heed, and that are for those who work on a package. */
const THEIRS = ['scripts', 'devDependencies']

/** Puts each of them into the registry, as they are installed here. */
export function addDependencies(registry, say) {
  const found = [...below(manifestIn(join(root, 'packages', 'manager'))).values()]
  say(`taking in ${found.length} packages of others, as they are installed here`)
  for (const { folder, manifest } of found) {
    const to = temporaryDirectory()
    must(['npm', 'pack', folder, '--silent', '--ignore-scripts', '--pack-destination', to])
    const fields = Object.entries(manifest).filter(([key]) => !THEIRS.includes(key))
    const tarball = readFileSync(join(to, readdirSync(to)[0]))
    registry.add(Object.fromEntries(fields), tarball)
  }
}
