// From `npm install vmexit` to a machine that has run, on each Node.js version.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { glibc, packageName } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { needsKvm, onEach, tells } from './cases.mjs'

/** Of processors' time: a host that is busy with other work takes longer by the clock. */
const INSTALL_SECONDS = 10

const TOOLS = ['cargo', 'rustc', 'cc', 'gcc', 'clang', 'ld', 'as', 'make', 'python3']

async function install({ registry, users }, { major, node }) {
  const user = newUser({ node, registry: registry.url })
  users.push({ ...user, major })
  // The second line is about the shell's children.
  const [, times] = (await user.run(['sh', '-c', 'npm install vmexit >&2 && times'])).split('\n')
  const seconds = times.match(/\d+m[\d.]+(?=s)/g).reduce((sum, time) => {
    const [minutes, rest] = time.split('m').map(Number)
    return sum + minutes * 60 + rest
  }, 0)
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

export const installCases = (context) =>
  Object.assign(
    {},
    ...context.nodes.map((version) => ({
      [`Node.js ${version.major}: npm install vmexit`]: () => install(context, version),
      ...onEach(
        context,
        () => ({
          'neither cargo nor a compiler is to be found': assertNoTools,
          'npx vmexit hello --json': assertHello,
          'an ECMAScript module': tells('module.mjs'),
          'a CommonJS script': tells('script.cjs'),
        }),
        [version],
      ),
    })),
  )
