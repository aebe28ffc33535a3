// The manager beside the package: what its tarball holds, and what a user does with it on each Node.js version.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { must, root } from '../../run.mjs'
import { start, temporaryDirectory } from '../../scope.mjs'
import { MANAGER } from '../stage.mjs'
import { newUser } from '../user.mjs'
import { give, needsKvm, onEach } from './cases.mjs'
import { linksOf } from './links.mjs'

/** JavaScript and types, and the page with what it loads of others; near what it has, so that growth is seen. */
const TARBALL_BYTES = 750_000

const SHIPPED = /^dist\/(?:.+\.(?:js|d\.ts)|page\/[^/]+\.(?:html|css|svg)|page\/vendor\/.+)$/
const LICENCES = ['novnc/LICENSE.txt', 'uplot/LICENSE', 'xterm/LICENSE', 'xterm/LICENSE.addon-fit']
const DOCUMENTS = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']
const ENTRIES = ['dist/index.js', 'dist/client/index.js', 'dist/cli/index.js']

const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** The tarball as a file, and what is in it. */
function opened({ registry }) {
  const folder = temporaryDirectory()
  const tarball = join(folder, 'manager.tgz')
  writeFileSync(tarball, registry.tarballs.get(MANAGER))
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
  for (const file of ENTRIES) assert.ok(files.includes(file), file)
  for (const name of LICENCES) assert.ok(files.includes(`dist/page/vendor/${name}`), name)
}

function assertManifest(context) {
  const manifest = manifestIn(opened(context).folder)
  const main = context.packages.find(({ name }) => name === 'vmexit')
  assert.deepEqual(manifest.peerDependencies, { vmexit: manifest.version })
  assert.equal(manifest.version, manifestIn(main.folder).version)
  for (const field of ['repository', 'homepage', 'bugs', 'license']) assert.ok(manifest[field])
  for (const field of ['scripts', 'devDependencies', 'bin']) {
    assert.equal(manifest[field], undefined, field)
  }
}

function assertSize({ registry }) {
  const bytes = registry.tarballs.get(MANAGER).length
  assert.ok(bytes < TARBALL_BYTES, `it has ${bytes} bytes, the limit is ${TARBALL_BYTES}`)
  return `${(bytes / 1000).toFixed(0)} of ${TARBALL_BYTES / 1000} kB`
}

/** What the repository has beside it is named by its address. */
function assertLinks(context) {
  const readme = readFileSync(join(opened(context).folder, 'README.md'), 'utf8')
  assert.deepEqual(linksOf('README.md', readme), [])
}

/** Only what is on purpose, and what belongs to it. */
async function install({ registry }, { major, node }, users) {
  const user = newUser({ node, registry: registry.url })
  await user.run(['npm', 'install', 'vmexit'])
  for (const words of [['ps'], ['ps', '--help'], ['start', 'a']]) {
    const { code, stdout, stderr } = await user.attempt(['npx', 'vmexit', ...words])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /npm install @vmexit\/manager/)
  }
  await user.run(['npm', 'install', MANAGER])
  assert.ok(existsSync(join(user.folder, 'node_modules', MANAGER)))
  assert.match(await user.run(['npx', 'vmexit', 'ps', '--help']), /^Usage: vmexit ps/)
  users.set(major, { ...user, node })
}

/** From a daemon to a machine that has run, and back to nothing. */
async function assertKeeps(user) {
  needsKvm()
  const [state, runtime] = [join(user.env.HOME, 's'), join(user.env.HOME, 'r')]
  const verb = (name, ...words) => user.run(['npx', 'vmexit', name, ...words, '--runtime', runtime])
  const { code, stderr } = await user.attempt(['npx', 'vmexit', 'ps', '--runtime', runtime])
  assert.equal(code, 1)
  assert.match(stderr, /vmexit daemon/)
  const main = join(user.folder, 'node_modules', '.bin', 'vmexit')
  const daemon = start([user.node, main, 'daemon', '--state', state, '--runtime', runtime], {
    cwd: user.folder,
    env: user.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: daemon.child.stdout })
  for await (const line of lines) if (line.startsWith('ready')) break
  give(user, 'machine.json')
  await verb('define', 'machine.json')
  await verb('start', 'hello')
  let machine
  for (let tries = 0; machine?.state !== 'ended' && tries < 100; tries += 1) {
    machine = JSON.parse(await verb('ps', '--json')).machines[0]
  }
  assert.deepEqual([machine.name, machine.state, machine.reason], ['hello', 'ended', 'hlt'])
  assert.equal(await verb('logs', 'hello'), 'Hello, world!\n')
  await verb('undefine', 'hello')
  daemon.child.kill('SIGTERM')
  assert.equal((await daemon.ended).status, 0)
  assert.equal(existsSync(join(runtime, 'api.sock')), false)
}

/** The strictest settings, with our compiler and Node.js types, and with everything else the user's. */
async function assertTypes(user) {
  give(user, 'manager.mts')
  const types = join(user.folder, 'node_modules', '@types')
  mkdirSync(types, { recursive: true })
  if (!existsSync(join(types, 'node'))) {
    symlinkSync(join(root, 'node_modules', '@types', 'node'), join(types, 'node'))
  }
  const compilerOptions = {
    ...{ target: 'ES2022', module: 'NodeNext', types: ['node'], strict: true, noEmit: true },
    ...{
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      lib: ['ES2023', 'ESNext.Disposable'],
    },
  }
  const project = join(user.folder, 'tsconfig.json')
  writeFileSync(project, JSON.stringify({ compilerOptions, files: ['manager.mts'] }))
  await user.run(['node', join(root, 'node_modules', '.bin', 'tsc'), '--project', project])
}

export function managerCases(context) {
  const users = new Map()
  const userOf = (major) => {
    assert.ok(users.has(major), 'the manager is not installed')
    return users.get(major)
  }
  const lint = (...words) => void must([...words, opened(context).tarball])
  return {
    'the manager: the tarball is small': () => assertSize(context),
    'the manager: the tarball holds what it should': () => assertFiles(context),
    'the manager: the manifest asks for its vmexit and runs nothing': () => assertManifest(context),
    'the manager: links lead to files in the tarball': () => assertLinks(context),
    'the manager: publint': () => lint('node_modules/.bin/publint', 'run', '--strict'),
    'the manager: are the types wrong': () =>
      lint('node_modules/.bin/attw', '--profile', 'esm-only', '--no-emoji'),
    ...onEach(context, (version) => ({
      'npm install vmexit @vmexit/manager': () => install(context, version, users),
      'the manager keeps a machine': () => assertKeeps(userOf(version.major)),
      ...(version === context.nodes[0] && {
        'a strict TypeScript project of the manager': () => assertTypes(userOf(version.major)),
      }),
    })),
  }
}
