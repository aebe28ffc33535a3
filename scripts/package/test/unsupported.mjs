// Where there is no binary: the package installs, its types work, and importing it says what to do.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { packageName, tested } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { give } from './install.mjs'
import { compile } from './types.mjs'

/** Installs with npm's words for another platform, or for leaving the binary out. */
async function without(context, options, use) {
  const { nodes, registry } = context
  const user = newUser({ node: nodes[0].node, registry: registry.url })
  try {
    await user.run(['npm', 'install', 'vmexit', ...options])
    const installed = (name) => existsSync(join(user.folder, 'node_modules', name))
    assert.ok(installed('vmexit'))
    assert.ok(!installed(packageName(tested)))
    return await use(user)
  } finally {
    user.leave()
  }
}

/** What importing throws where Node.js takes itself to be on another platform. */
async function failure(user, ...platform) {
  for (const name of ['pretend.cjs', 'failure.mjs']) give(user, name)
  const words = ['node', '--require', './pretend.cjs', 'failure.mjs', ...platform]
  return JSON.parse(await user.run(words))
}

async function assertNamed(context, options, platform, name) {
  await without(context, options, async (user) => {
    const { code, message } = await failure(user, ...platform)
    assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
    assert.ok(message.includes(`for ${name} `), message)
    assert.match(message, /linux-x64-gnu/)
  })
}

async function assertTypes(context) {
  await without(context, ['--os=darwin', '--cpu=arm64'], async (user) => {
    await compile(user, 'as Node.js resolves')
  })
}

async function assertLeftOut(context) {
  await without(context, ['--omit=optional'], async (user) => {
    const { code, message } = await failure(user)
    assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
    assert.match(message, /vmexit-linux-x64-gnu.*--omit=optional/)
    const hello = await user.attempt(['npx', 'vmexit', 'hello'])
    assert.equal(hello.code, 1)
    assert.match(hello.stderr, /^vmexit: ERR_BINDING_UNAVAILABLE: /)
    assert.equal((await user.attempt(['npx', 'vmexit', '--help'])).code, 0)
  })
}

export const unsupportedCases = (context) => ({
  'macOS on arm64: installs, and import names platform and choices': () =>
    assertNamed(context, ['--os=darwin', '--cpu=arm64'], ['darwin', 'arm64'], 'darwin-arm64'),
  'Linux on arm64: the same': () =>
    assertNamed(context, ['--cpu=arm64'], ['linux', 'arm64', 'glibc'], 'linux-arm64-gnu'),
  'Linux with musl: the same': () =>
    assertNamed(context, ['--libc=musl'], ['linux', 'x64', 'musl'], 'linux-x64-musl'),
  'the types work without a binary': () => assertTypes(context),
  'a binary that was left out is said to be missing': () => assertLeftOut(context),
})
