// Where there is no binary: the package installs, its types work, and importing it says what to do.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { glibc, packageName } from '../targets.mjs'
import { newUser } from '../user.mjs'
import { give } from './cases.mjs'
import { compile } from './types.mjs'

/** A user on another platform, or without what npm's `options` leave out, who has installed the package. */
async function without({ nodes, registry }, { platform, options = [] }) {
  const user = newUser({ node: nodes[0].node, registry: registry.url })
  if (platform) pretend(user, platform)
  await user.run(['npm', 'install', 'vmexit', ...options])
  const installed = (name) => existsSync(join(user.folder, 'node_modules', name))
  assert.ok(installed('vmexit'))
  assert.ok(!installed(packageName(glibc)))
  return user
}

function pretend(user, platform) {
  give(user, 'pretend.cjs')
  user.env.PRETEND = platform
  user.env.NODE_OPTIONS = `--require=${join(user.folder, 'pretend.cjs')}`
}

/** What importing the package throws. */
async function failure(user) {
  give(user, 'failure.mjs')
  return JSON.parse(await user.run(['node', 'failure.mjs']))
}

async function assertNamed(context, platform) {
  const { code, message } = await failure(await without(context, { platform }))
  assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
  assert.ok(message.includes(`for ${platform} `), message)
  assert.match(message, /it runs on linux-x64-gnu and linux-x64-musl/)
}

async function assertTypes(context) {
  await compile(await without(context, { platform: 'darwin-arm64' }), 'as Node.js resolves')
}

async function assertLeftOut(context) {
  const user = await without(context, { options: ['--omit=optional'] })
  const { code, message } = await failure(user)
  assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
  assert.match(message, /vmexit-linux-x64-gnu is missing.*--omit=optional/)
  const hello = await user.attempt(['npx', 'vmexit', 'hello'])
  assert.equal(hello.code, 1)
  assert.match(hello.stderr, /^vmexit: ERR_BINDING_UNAVAILABLE: /)
  assert.equal((await user.attempt(['npx', 'vmexit', '--help'])).code, 0)
}

export function unsupportedCases(context) {
  const cases = {}
  for (const platform of ['darwin-arm64', 'win32-x64', 'linux-arm64-gnu', 'linux-arm64-musl']) {
    cases[`${platform}: installs, and import names platform and choices`] = () =>
      assertNamed(context, platform)
  }
  return {
    ...cases,
    'the types work without a binary': () => assertTypes(context),
    'a binary that was left out is said to be missing': () => assertLeftOut(context),
  }
}
