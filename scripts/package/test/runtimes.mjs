// Bun, Deno, and Node.js with options that forbid something.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { casesOn, give, onEach, tells, userOf } from './cases.mjs'

const bun = ({ tools }) => join(tools, '@oven', 'bun-linux-x64', 'bin', 'bun')
const deno = ({ tools }) => join(tools, '@deno', 'linux-x64-glibc', 'deno')

/** A case: importing fails, and the message says what to do: nothing about installing again. */
const says = (words, expected) => async (user) => {
  give(user, 'failure.mjs')
  const { code, message } = JSON.parse(await user.run([...words, 'failure.mjs']))
  assert.equal(code, 'ERR_BINDING_UNAVAILABLE')
  assert.match(message, expected)
  assert.doesNotMatch(message, /reinstall/i)
}

function nodeCases({ major }) {
  const permission = major === 20 ? '--experimental-permission' : '--permission'
  const restricted = ['node', '--no-warnings', permission, '--allow-fs-read=*']
  const plain = ['node', '--no-experimental-require-module']
  return {
    'CommonJS without require() of ES modules': tells('script.cjs', plain),
    [`${permission} --allow-addons`]: tells('module.mjs', [...restricted, '--allow-addons']),
    [`${permission} names --allow-addons`]: says(restricted, /--allow-addons/),
    '--no-addons names itself': says(['node', '--no-addons'], /`--no-addons` forbids/),
  }
}

export function runtimeCases(context) {
  const user = () => userOf(context, context.nodes.at(-1).major)
  const run = (...rights) => [deno(context), 'run', '--no-prompt', ...rights]
  const granted = run('--allow-read', '--allow-ffi')
  return {
    ...onEach(context, nodeCases),
    ...casesOn('Bun', user, {
      'an ECMAScript module': tells('module.mjs', [bun(context), 'run']),
      'a CommonJS script': tells('script.cjs', [bun(context), 'run']),
    }),
    ...casesOn('Deno', user, {
      'an ECMAScript module': tells('module.mjs', granted),
      'a CommonJS script': tells('script.cjs', granted),
      'without rights it says which': says(
        run(),
        /Requires read access to .*--allow-read --allow-ffi/,
      ),
      'without ffi it says so': says(run('--allow-read'), /Requires ffi access to .*--allow-ffi/),
    }),
  }
}
