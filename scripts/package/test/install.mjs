// From `npm install vmexit` to a machine that has run, on each Node.js version.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { glibc, packageName } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { needsKvm } from './skip.mjs'

const INSTALL_SECONDS = 10

const TOOLS = ['cargo', 'rustc', 'cc', 'gcc', 'clang', 'ld', 'as', 'make', 'python3']

/** Copies a program of ours into the user's folder. */
export function give(user, name) {
  copyFileSync(fileURLToPath(new URL(`programs/${name}`, import.meta.url)), join(user.folder, name))
}

/** The user with this Node.js version, in whose folder the package is installed. */
export function userOf({ users }, major) {
  const user = users.find((entry) => entry.major === major)
  assert.ok(user, 'the package is not installed')
  return user
}

async function install({ registry, users }, { major, node }) {
  const user = newUser({ node, registry: registry.url })
  users.push({ ...user, major })
  const start = performance.now()
  await user.run(['npm', 'install', 'vmexit'])
  const seconds = (performance.now() - start) / 1000
  for (const name of ['vmexit', packageName(glibc)]) {
    assert.ok(existsSync(join(user.folder, 'node_modules', name)), name)
  }
  assert.ok(seconds < INSTALL_SECONDS, `it took ${seconds} s`)
  return `${seconds.toFixed(1)} of ${INSTALL_SECONDS} s`
}

async function assertNoTools(user) {
  const found = (tool) => user.attempt(['sh', '-c', `command -v ${tool}`])
  assert.equal((await found('node')).code, 0)
  for (const tool of TOOLS) assert.notEqual((await found(tool)).code, 0, tool)
}

async function assertHello(user) {
  needsKvm()
  const { backend, results } = JSON.parse(await user.run(['npx', 'vmexit', 'hello', '--json']))
  assert.equal(results.length, 5)
  const ran = results.filter(({ supported }) => supported)
  assert.ok(ran.length > 0)
  for (const result of ran) {
    const { ok, output, rax, memory400 } = result
    const expected = { ok: true, output: 'Hello, world!\n', rax: '42', memory400: '42' }
    assert.deepEqual({ ok, output, rax, memory400 }, expected)
  }
  return `${ran.length} of ${results.length} modes on ${backend}`
}

async function assertProgram(user, name) {
  needsKvm()
  give(user, name)
  assert.equal(await user.run(['node', name]), 'hlt hlt "Hello, world!\\n" 42\n')
}

function casesOn(context, version) {
  const on = `Node.js ${version.major}`
  const user = () => userOf(context, version.major)
  return {
    [`${on}: npm install vmexit`]: () => install(context, version),
    [`${on}: neither cargo nor a compiler is to be found`]: () => assertNoTools(user()),
    [`${on}: npx vmexit hello --json`]: () => assertHello(user()),
    [`${on}: an ECMAScript module`]: () => assertProgram(user(), 'module.mjs'),
    [`${on}: a CommonJS script`]: () => assertProgram(user(), 'script.cjs'),
  }
}

export function installCases(context) {
  return Object.assign({}, ...context.nodes.map((version) => casesOn(context, version)))
}
