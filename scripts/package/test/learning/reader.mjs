// A reader of guide and cookbook: a user with all packages, on the oldest Node.js or the newest.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FLEET, MANAGER } from '../../stage.mjs'
import { newUser } from '../../user.mjs'

/** What a reader installs. */
export const PACKAGES = ['vmexit', MANAGER, FLEET]

/** The first Node.js that runs TypeScript and knows `using`. */
const RUNS_TYPESCRIPT = 24

/** The versions of Node.js that readers have. */
export const versionsOf = ({ nodes }) => [nodes[0], nodes.at(-1)]

/** Whether TypeScript takes tsx. */
export const needsTsx = ({ major }) => major < RUNS_TYPESCRIPT

export const tsxOf = ({ tools }) => join(tools, 'tsx', 'dist', 'cli.mjs')

async function settle({ registry }, { node }) {
  const user = newUser({ node, registry: registry.url })
  writeFileSync(join(user.folder, 'package.json'), '{ "type": "module" }\n')
  await user.run(['npm', 'install', ...PACKAGES])
  return user.folder
}

const settled = new Map()

/** The folder in which everything is installed, for each version once. */
export function folderOf(context, version) {
  const folder = settled.get(version.node) ?? settle(context, version)
  settled.set(version.node, folder)
  return folder
}
