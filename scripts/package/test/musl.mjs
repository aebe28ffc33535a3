// A user on Alpine Linux: a Node.js for musl installs the package and runs it, and the suite passes there.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Skip } from '../../cases.mjs'
import { root, run } from '../../run.mjs'
import { muslNode } from '../musl-node.mjs'
import { artifacts, binaryName, glibc, musl, packageName } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { casesOn, needsKvm, programOf, tells, userOf } from './cases.mjs'

const USER = 'musl'

/** What threads, signals, memory and the C library have a part in. `--whole` takes all. */
const SPECS = 'close console copies garbage hello leaks memory registers worker'.split(' ')

async function install({ registry, users, say }) {
  let node
  try {
    node = await muslNode(say)
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
  const binary = join(root, binaryName(musl))
  const types = programOf('own-types.mjs')
  const specs = context.isWhole ? [] : SPECS.map((name) => `__test__/${name}.spec.ts`)
  copyFileSync(join(artifacts, binaryName(musl)), binary)
  try {
    const ava = ['node_modules/ava/entrypoints/cli.mjs', '--concurrency=2', ...specs]
    const env = { ...process.env, NODE_OPTIONS: `--import=${types}` }
    const told = await run([await muslNode(context.say), ...ava], { env })
    return told.match(/\d+ tests passed/)[0]
  } finally {
    rmSync(binary)
  }
}

export function muslCases(context) {
  const on = 'Node.js for musl'
  return {
    [`${on}: npm install vmexit takes the binary for musl`]: () => install(context),
    ...casesOn(on, () => muslUser(context), {
      'npx vmexit hello': assertHello,
      'an ECMAScript module': tells('module.mjs'),
      'a CommonJS script': tells('script.cjs'),
      'the suite': () => assertSuite(context),
    }),
  }
}
