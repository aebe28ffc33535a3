// The guide, followed from an empty folder with the packed package: by the oldest Node.js, where TypeScript takes tsx, and by the newest.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { Failure, root } from '../../../run.mjs'
import { temporaryDirectory } from '../../../scope.mjs'
import { npmPrograms } from '../../user.mjs'
import { needsKvm } from '../cases.mjs'
import { PACKAGES, folderOf, needsTsx, tsxOf, versionsOf } from './reader.mjs'

const FOLDER = 'docs/guide'

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
function programs(context, version) {
  const { node } = version
  const { npm, npx } = npmPrograms()
  const tsx = `exec '${node}' '${tsxOf(context)}' "$@"`
  const typescript = `case $1 in *.ts) ${tsx} ;; esac\n`
  return {
    node: `${needsTsx(version) ? typescript : ''}exec '${node}' "$@"`,
    npm: `exec '${node}' '${npm}' "$@"`,
    npx: `if [ "$1" = tsx ]; then shift; ${tsx}; fi
exec '${node}' '${npx}' --offline "$@"`,
  }
}

/** A reader whose chapters find in their folders what was installed in another. */
async function readerOf(context, version) {
  const modules = join(await folderOf(context, version), 'node_modules')
  return {
    programs: programs(context, version),
    path: process.env.PATH,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, join(modules, name)])),
    env: { npm_config_registry: context.registry.url, npm_config_update_notifier: 'false' },
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
  const pages = readdirSync(join(root, FOLDER)).filter((name) => name.endsWith('.md'))
  return Object.fromEntries(
    pages.map((name) => [
      `Node.js ${version.major}: ${FOLDER}/${name} is what happens`,
      async () => follow(name, await readerOf(context, version)),
    ]),
  )
}

export const guideCases = (context) =>
  Object.assign({}, ...versionsOf(context).map((version) => casesOf(context, version)))
