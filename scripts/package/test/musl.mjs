// A user on Alpine Linux: a Node.js for musl installs the package and runs it, and the suite passes there.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { root, run } from '../../run.mjs'
import { muslNode } from '../musl-node.mjs'
import { artifacts, binaryName, glibc, musl, packageName } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { give, userOf } from './install.mjs'
import { Skip, needsKvm } from './skip.mjs'

const USER = 'musl'
const TOLD = 'hlt hlt "Hello, world!\\n" 42\n'

/** What threads, signals, memory and the C library have a part in. `--whole` takes all. */
const SPECS = [
  'close',
  'console',
  'copies',
  'garbage',
  'hello',
  'leaks',
  'memory',
  'registers',
  'worker',
]

async function install({ registry, users, say }) {
  let node
  try {
    node = muslNode(say)
  } catch (error) {
    throw new Skip(
      `Node.js for musl cannot be had here: ${error.message.split('\n')[1] ?? error.message}`,
    )
  }
  const user = newUser({ node, registry: registry.url })
  users.push({ ...user, major: USER })
  // npm tells by /usr/bin/ldd, which here is this machine's; on an Alpine Linux it needs no option.
  await user.run(['npm', 'install', 'vmexit', '--libc=musl'])
  const installed = (target) => existsSync(join(user.folder, 'node_modules', packageName(target)))
  assert.deepEqual([musl, glibc].map(installed), [true, false])
  return (await user.run(['node', '--version'])).trim()
}

function muslUser({ users }) {
  if (!users.some(({ major }) => major === USER)) throw new Skip('there is no Node.js for musl')
  return userOf({ users }, USER)
}

async function assertTold(user, name) {
  needsKvm()
  give(user, name)
  assert.equal(await user.run(['node', name]), TOLD)
}

async function assertHello(user) {
  needsKvm()
  const { results } = JSON.parse(await user.run(['npx', 'vmexit', 'hello', '--json']))
  const ran = results.filter(({ supported }) => supported)
  assert.ok(ran.length > 0 && ran.every(({ ok }) => ok))
  return `${ran.length} of ${results.length} modes`
}

/** The suite of this checkout, with the binary that is published. */
async function assertSuite(context) {
  needsKvm()
  muslUser(context)
  const binary = join(root, binaryName(musl))
  const types = fileURLToPath(new URL('programs/own-types.mjs', import.meta.url))
  const specs = context.isWhole ? [] : SPECS.map((name) => `__test__/${name}.spec.ts`)
  copyFileSync(join(artifacts, binaryName(musl)), binary)
  try {
    const ava = ['node_modules/ava/entrypoints/cli.mjs', '--concurrency=2', ...specs]
    const env = { ...process.env, NODE_OPTIONS: `--import=${types}` }
    const told = await run([muslNode(context.say), ...ava], { env })
    return told.match(/\d+ tests passed/)[0]
  } finally {
    rmSync(binary)
  }
}

export function muslCases(context) {
  const on = 'Node.js for musl'
  const user = () => muslUser(context)
  return {
    [`${on}: npm install vmexit takes the binary for musl`]: () => install(context),
    [`${on}: npx vmexit hello`]: () => assertHello(user()),
    [`${on}: an ECMAScript module`]: () => assertTold(user(), 'module.mjs'),
    [`${on}: a CommonJS script`]: () => assertTold(user(), 'script.cjs'),
    [`${on}: the suite`]: () => assertSuite(context),
  }
}
