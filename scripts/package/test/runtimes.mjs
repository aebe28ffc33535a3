// Bun, Deno, and Node.js with options that forbid something.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { give, userOf } from './install.mjs'
import { needsKvm } from './skip.mjs'

const TOLD = 'hlt hlt "Hello, world!\\n" 42\n'

const bun = ({ tools }) => join(tools, '@oven', 'bun-linux-x64', 'bin', 'bun')
const deno = ({ tools }) => join(tools, '@deno', 'linux-x64-glibc', 'deno')

async function assertTold(user, words, name) {
  needsKvm()
  give(user, name)
  assert.equal(await user.run([...words, name]), TOLD)
}

/** Importing fails, and the message says what to do: nothing about installing again. */
async function assertSays(user, words, expected) {
  give(user, 'failure.mjs')
  const { code, message } = JSON.parse(await user.run([...words, 'failure.mjs']))
  assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
  assert.match(message, expected)
  assert.doesNotMatch(message, /reinstall/i)
}

function nodeCases(context, { major }) {
  const on = `Node.js ${major}`
  const user = () => userOf(context, major)
  const permission = major === 20 ? '--experimental-permission' : '--permission'
  const restricted = ['node', '--no-warnings', permission, '--allow-fs-read=*']
  const plain = ['node', '--no-experimental-require-module']
  return {
    [`${on}: CommonJS without require() of ES modules`]: () =>
      assertTold(user(), plain, 'script.cjs'),
    [`${on}: ${permission} --allow-addons`]: () =>
      assertTold(user(), [...restricted, '--allow-addons'], 'module.mjs'),
    [`${on}: ${permission} names --allow-addons`]: () =>
      assertSays(user(), restricted, /--allow-addons/),
    [`${on}: --no-addons names itself`]: () =>
      assertSays(user(), ['node', '--no-addons'], /`--no-addons` forbids/),
  }
}

function otherCases(context) {
  const user = () => userOf(context, context.nodes.at(-1).major)
  const run = (...rights) => [deno(context), 'run', '--no-prompt', ...rights]
  return {
    'Bun: an ECMAScript module': () => assertTold(user(), [bun(context), 'run'], 'module.mjs'),
    'Bun: a CommonJS script': () => assertTold(user(), [bun(context), 'run'], 'script.cjs'),
    'Deno: an ECMAScript module': () =>
      assertTold(user(), run('--allow-read', '--allow-ffi'), 'module.mjs'),
    'Deno: a CommonJS script': () =>
      assertTold(user(), run('--allow-read', '--allow-ffi'), 'script.cjs'),
    'Deno without rights says which': () =>
      assertSays(user(), run(), /Requires read access to .*--allow-read --allow-ffi/),
    'Deno without ffi says so': () =>
      assertSays(user(), run('--allow-read'), /Requires ffi access to .*--allow-ffi/),
  }
}

export function runtimeCases(context) {
  const perNode = context.nodes.map((version) => nodeCases(context, version))
  return Object.assign({}, ...perNode, otherCases(context))
}
