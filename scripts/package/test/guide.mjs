// The guide, followed from an empty folder with the packed package: by the oldest Node.js, where TypeScript takes tsx, and by the newest.
import { readFileSync, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { Failure, must, root } from '../../run.mjs'
import { temporaryDirectory } from '../../scope.mjs'
import { FLEET, MANAGER } from '../stage.mjs'
import { newUser } from '../user.mjs'
import { needsKvm } from './cases.mjs'

const FOLDER = 'docs/guide'

const PACKAGES = ['vmexit', MANAGER, FLEET]

/** The first Node.js that runs TypeScript and knows `using`. */
const RUNS_TYPESCRIPT = 24

/** The walker is TypeScript, which not every Node.js that runs this can import. */
async function loadWalker() {
  const outfile = join(temporaryDirectory(), 'guide.mjs')
  await build({
    absWorkingDir: root,
    entryPoints: ['__test__/helpers/guide.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  })
  return import(pathToFileURL(outfile).href)
}

let loading

const walker = () => (loading ??= loadWalker())

/** Programs of a reader's, as scripts: where `node` runs no TypeScript, tsx does, as the guide says. */
function programs({ major, node }, tools) {
  const npx = realpathSync(process.env.npm_execpath ?? must(['which', 'npm']).trim())
  const tsx = `exec '${node}' '${join(tools, 'tsx', 'dist', 'cli.mjs')}' "$@"`
  const typescript = `case $1 in *.ts) ${tsx} ;; esac\n`
  return {
    node: `${major < RUNS_TYPESCRIPT ? typescript : ''}exec '${node}' "$@"`,
    npm: `exec '${node}' '${join(npx, '..', 'npm-cli.js')}' "$@"`,
    npx: `if [ "$1" = tsx ]; then shift; ${tsx}; fi
exec '${node}' '${join(npx, '..', 'npx-cli.js')}' --offline "$@"`,
  }
}

/** A reader whose chapters find in their folders what was installed in another. */
async function settle({ registry, tools }, version) {
  const user = newUser({ node: version.node, registry: registry.url })
  await user.run(['npm', 'install', ...PACKAGES])
  const modules = join(user.folder, 'node_modules')
  return {
    programs: programs(version, tools),
    path: process.env.PATH,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, join(modules, name)])),
    env: { npm_config_registry: registry.url, npm_config_update_notifier: 'false' },
  }
}

async function follow(name, reader) {
  needsKvm()
  const { chapterOf, walk } = await walker()
  const path = join(FOLDER, name)
  const chapter = chapterOf(path, readFileSync(join(root, path), 'utf8'))
  // The page that leads to the chapters has what brings the package into an empty folder.
  const { ran, skipped, failure } = await walk(
    chapter,
    name === 'README.md' ? { ...reader, packages: {}, installs: true } : reader,
  )
  if (failure !== undefined) throw new Failure(failure)
  const reasons = new Set(skipped.map((line) => line.replace(/^\S+: /, '')))
  return [`${ran} blocks ran, ${skipped.length} skipped`, ...reasons].join('; ')
}

function casesOf(context, version) {
  let settled
  const reader = () => (settled ??= settle(context, version))
  const pages = readdirSync(join(root, FOLDER)).filter((name) => name.endsWith('.md'))
  return Object.fromEntries(
    pages.map((name) => [
      `Node.js ${version.major}: ${FOLDER}/${name} is what happens`,
      async () => follow(name, await reader()),
    ]),
  )
}

export const guideCases = (context) =>
  Object.assign(
    {},
    ...[context.nodes[0], context.nodes.at(-1)].map((version) => casesOf(context, version)),
  )
