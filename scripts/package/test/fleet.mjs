// The fleet beside the package: what its tarball holds, and jobs that a user runs with it.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FLEET } from '../stage.mjs'
import { newUser } from '../user.mjs'
import { besideCases } from './beside.mjs'
import { needsKvm, onEach } from './cases.mjs'

/** JavaScript and types; near what it has, so that growth is seen. */
const TARBALL_BYTES = 80_000

/** Jobs on this host, by the command and by a program. */
async function runs({ registry }, { node }) {
  const user = newUser({ node, registry: registry.url })
  await user.run(['npm', 'install', 'vmexit'])
  const { code, stderr } = await user.attempt(['npx', 'vmexit', 'fleet', 'run', 'jobs.jsonl'])
  assert.equal(code, 1)
  assert.match(stderr, /npm install @vmexit\/fleet/)
  await user.run(['npm', 'install', FLEET])
  assert.match(await user.run(['npx', 'vmexit', 'fleet', '--help']), /worker/)
  needsKvm()
  const routes = [{ port: 0xe9, to: 'console' }]
  const definition = { mode: 'long', payload: { guest: 'hello' }, routes }
  const jobs = ['one', 'two', 'three'].map((id) => ({ id, definition }))
  writeFileSync(join(user.folder, 'jobs.jsonl'), jobs.map((job) => JSON.stringify(job)).join('\n'))
  const lines = (await user.run(['npx', 'vmexit', 'fleet', 'run', 'jobs.jsonl', '--json'])).trim()
  const results = lines.split('\n').map((line) => JSON.parse(line))
  const done = results.filter(({ status }) => status === 'done')
  assert.deepEqual(done.map(({ id }) => id).toSorted(), ['one', 'three', 'two'])
  assert.deepEqual(new Set(done.map(({ value }) => value.output)), new Set(['Hello, world!\n']))
  writeFileSync(
    join(user.folder, 'fleet.mjs'),
    `import { fleet } from '${FLEET}'
    const jobs = ${JSON.stringify(jobs)}
    for await (const { status, value } of fleet.map(jobs)) console.log(status, value.reason)`,
  )
  assert.equal(await user.run(['node', 'fleet.mjs']), 'done hlt\n'.repeat(3))
}

export function fleetCases(context) {
  return {
    ...besideCases(context, {
      title: 'the fleet',
      name: FLEET,
      bytes: TARBALL_BYTES,
      shipped: /^dist\/.+\.(?:js|d\.ts)$/,
      entries: ['dist/index.js', 'dist/cli/index.js', 'dist/child/main.js'],
      dependencies: ['bullmq', 'ioredis'],
    }),
    ...onEach(context, (version) => ({
      'jobs of the fleet on this host': () => runs(context, version),
    })),
  }
}
