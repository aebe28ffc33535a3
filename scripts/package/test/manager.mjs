// The manager beside the package: what its tarball holds, and what a user does with it on each Node.js version.
import assert from 'node:assert/strict'
import { existsSync, symlinkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../../run.mjs'
import { start } from '../../scope.mjs'
import { MANAGER } from '../stage.mjs'
import { newUser } from '../user.mjs'
import { besideCases } from './beside.mjs'
import { give, needsKvm, onEach } from './cases.mjs'

/** JavaScript and types, and the page with what it loads of others; near what it has, so that growth is seen. */
const TARBALL_BYTES = 750_000

const SHIPPED = /^dist\/(?:.+\.(?:js|d\.ts)|page\/[^/]+\.(?:html|css|svg)|page\/vendor\/.+)$/
const LICENCES = ['novnc/LICENSE.txt', 'uplot/LICENSE', 'xterm/LICENSE', 'xterm/LICENSE.addon-fit']
const ENTRIES = ['dist/index.js', 'dist/client/index.js', 'dist/cli/index.js']

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
  for (const end = Date.now() + 300_000; machine?.state !== 'ended' && Date.now() < end;) {
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
  return {
    ...besideCases(context, {
      title: 'the manager',
      name: MANAGER,
      bytes: TARBALL_BYTES,
      shipped: SHIPPED,
      entries: [...ENTRIES, ...LICENCES.map((name) => `dist/page/vendor/${name}`)],
      dependencies: ['@stellar/js-xdr', 'fast-xml-parser', 'ws'],
    }),
    ...onEach(context, (version) => ({
      'npm install vmexit @vmexit/manager': () => install(context, version, users),
      'the manager keeps a machine': () => assertKeeps(userOf(version.major)),
      ...(version === context.nodes[0] && {
        'a strict TypeScript project of the manager': () => assertTypes(userOf(version.major)),
      }),
    })),
  }
}
