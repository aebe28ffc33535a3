// The fleet beside the package: what its tarball holds, and jobs that a user runs with it.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../run.mjs'
import { temporaryDirectory } from '../../scope.mjs'
import { FLEET } from '../stage.mjs'
import { newUser } from '../user.mjs'
import { needsKvm, onEach } from './cases.mjs'
import { linksOf } from './links.mjs'

/** JavaScript and types; near what it has, so that growth is seen. */
const TARBALL_BYTES = 80_000

const SHIPPED = /^dist\/.+\.(?:js|d\.ts)$/
const DOCUMENTS = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']

const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** The tarball as a file, and what is in it. */
function opened({ registry }) {
  const folder = temporaryDirectory()
  const tarball = join(folder, 'fleet.tgz')
  writeFileSync(tarball, registry.tarballs.get(FLEET))
  must(['tar', '-xzf', tarball, '-C', folder])
  const listed = must(['tar', '-tzf', tarball]).trim().split('\n')
  const files = listed.map((path) => path.replace('package/', '')).toSorted()
  return { tarball, folder: join(folder, 'package'), files }
}

function assertFiles(context) {
  const { files } = opened(context)
  assert.deepEqual(
    files.filter((file) => !SHIPPED.test(file)),
    DOCUMENTS,
  )
  for (const file of ['dist/index.js', 'dist/cli/index.js', 'dist/child/main.js'])
    assert.ok(files.includes(file), file)
}

function assertManifest(context) {
  const manifest = manifestIn(opened(context).folder)
  assert.deepEqual(manifest.peerDependencies, { vmexit: manifest.version })
  assert.deepEqual(Object.keys(manifest.dependencies), ['bullmq', 'ioredis'])
  for (const field of ['repository', 'homepage', 'bugs', 'license']) assert.ok(manifest[field])
  for (const field of ['scripts', 'devDependencies', 'bin'])
    assert.equal(manifest[field], undefined, field)
}

function assertSize({ registry }) {
  const bytes = registry.tarballs.get(FLEET).length
  assert.ok(bytes < TARBALL_BYTES, `it has ${bytes} bytes, the limit is ${TARBALL_BYTES}`)
  return `${(bytes / 1000).toFixed(0)} of ${TARBALL_BYTES / 1000} kB`
}

function assertLinks(context) {
  const readme = readFileSync(join(opened(context).folder, 'README.md'), 'utf8')
  assert.deepEqual(linksOf('README.md', readme), [])
}

/** Jobs on this host, by the command and by a program. */
async function runs({ registry }, { node }) {
  const user = newUser({ node, registry: registry.url })
  await user.run(['npm', 'install', 'vmexit'])
  const { code, stderr } = await user.attempt(['npx', 'vmexit', 'fleet', 'run', 'jobs.jsonl'])
  assert.equal(code, 1)
  assert.match(stderr, /npm install @vmexit\/fleet/)
  await user.run(['npm', 'install', FLEET])
  assert.match(await user.run(['npx', 'vmexit', 'fleet', '--help']), /worker/)
  needsKvm()
  const routes = [{ port: 0xe9, to: 'console' }]
  const definition = { mode: 'long', payload: { guest: 'hello' }, routes }
  const jobs = ['one', 'two', 'three'].map((id) => ({ id, definition }))
  writeFileSync(join(user.folder, 'jobs.jsonl'), jobs.map((job) => JSON.stringify(job)).join('\n'))
  const lines = (await user.run(['npx', 'vmexit', 'fleet', 'run', 'jobs.jsonl', '--json'])).trim()
  const results = lines.split('\n').map((line) => JSON.parse(line))
  const done = results.filter(({ status }) => status === 'done')
  assert.deepEqual(done.map(({ id }) => id).toSorted(), ['one', 'three', 'two'])
  assert.deepEqual(new Set(done.map(({ value }) => value.output)), new Set(['Hello, world!\n']))
  writeFileSync(
    join(user.folder, 'fleet.mjs'),
    `import { fleet } from '${FLEET}'
    const jobs = ${JSON.stringify(jobs)}
    for await (const { status, value } of fleet.map(jobs)) console.log(status, value.reason)`,
  )
  assert.equal(await user.run(['node', 'fleet.mjs']), 'done hlt\n'.repeat(3))
}

export function fleetCases(context) {
  const lint = (...words) => void must([...words, opened(context).tarball])
  return {
    'the fleet: the tarball is small': () => assertSize(context),
    'the fleet: the tarball holds what it should': () => assertFiles(context),
    'the fleet: the manifest asks for its vmexit and runs nothing': () => assertManifest(context),
    'the fleet: links lead to files in the tarball': () => assertLinks(context),
    'the fleet: publint': () => lint('node_modules/.bin/publint', 'run', '--strict'),
    'the fleet: are the types wrong': () =>
      lint('node_modules/.bin/attw', '--profile', 'esm-only', '--no-emoji'),
    ...onEach(context, (version) => ({
      'jobs of the fleet on this host': () => runs(context, version),
    })),
  }
}
