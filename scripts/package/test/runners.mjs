// Test runners load the package once for each file of tests, some in a context of its own.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { give, userOf } from './install.mjs'
import { needsKvm } from './skip.mjs'

const FOLDER = 'tests'

const JEST = {
  rootDir: FOLDER,
  testMatch: ['**/*.test.?js'],
  transform: {},
  moduleFileExtensions: ['js', 'cjs', 'mjs', 'json', 'node'],
}

/** Two files of tests as ES modules, and two as CommonJS. */
function writeTests(user) {
  const folder = join(user.folder, FOLDER)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const name of ['runner.cjs', 'runner.test.cjs', 'runner.test.mjs']) {
    give(user, name)
    cpSync(join(user.folder, name), join(folder, name))
    cpSync(join(user.folder, name), join(folder, `again.${name}`))
    rmSync(join(user.folder, name))
  }
  writeFileSync(join(user.folder, 'jest.json'), JSON.stringify(JEST))
}

async function assertPasses(user, words) {
  needsKvm()
  writeTests(user)
  const { code, stdout, stderr } = await user.attempt(['node', ...words])
  // Without colours, which runners use where they like.
  const told = stripVTControlCharacters(`${stdout}${stderr}`)
  assert.equal(code, 0, told)
  assert.match(told, /Tests:? +4 passed/i, told)
}

const jest = ({ tools }) => [
  ...['--experimental-vm-modules', join(tools, 'jest', 'bin', 'jest.js')],
  ...['--config', 'jest.json', '--runInBand'],
]

const vitest = ({ tools }, pool) => [
  ...[join(tools, 'vitest', 'vitest.mjs'), 'run', '--root', FOLDER, '--globals'],
  ...['--pool', pool, '--maxWorkers=1'],
]

export function runnerCases(context) {
  const cases = {}
  // The oldest and the newest, unless all are asked for: each takes seconds.
  const versions = context.isWhole ? context.nodes : [context.nodes[0], context.nodes.at(-1)]
  for (const { major } of versions) {
    const on = `Node.js ${major}`
    const user = () => userOf(context, major)
    cases[`${on}: Jest`] = () => assertPasses(user(), jest(context))
    for (const pool of ['vmThreads', 'vmForks', 'threads', 'forks']) {
      cases[`${on}: Vitest, pool ${pool}`] = () => assertPasses(user(), vitest(context, pool))
    }
  }
  return cases
}
