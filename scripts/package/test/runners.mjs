// Test runners load the package once for each file of tests, some in a context of its own.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { give, needsKvm, onEach, programOf } from './cases.mjs'

const FOLDER = 'tests'
/** A busy host takes longer than the five seconds that runners give a test. */
const PATIENCE_MS = 300_000

const JEST = {
  rootDir: FOLDER,
  testMatch: ['**/*.test.?js'],
  transform: {},
  moduleFileExtensions: ['js', 'cjs', 'mjs', 'json', 'node'],
  testTimeout: PATIENCE_MS,
}

/** Two files of tests as ES modules, and two as CommonJS. */
function writeTests(user) {
  const folder = join(user.folder, FOLDER)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  for (const name of ['runner.cjs', 'runner.test.cjs', 'runner.test.mjs']) {
    for (const copy of [name, `again.${name}`]) cpSync(programOf(name), join(folder, copy))
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

/** What Node.js itself brings needs no other files, and no globals. */
async function assertNodePasses(user) {
  needsKvm()
  give(user, 'runner.cjs', 'runner.node.mjs')
  const { code, stdout, stderr } = await user.attempt(['node', '--test', 'runner.node.mjs'])
  assert.equal(code, 0, `${stdout}${stderr}`)
  assert.match(stdout, /\bpass 1\b/, stdout)
}

const jest = ({ tools }) => [
  ...['--experimental-vm-modules', join(tools, 'jest', 'bin', 'jest.js')],
  ...['--config', 'jest.json', '--runInBand'],
]

const vitest = ({ tools }, pool) => [
  ...[join(tools, 'vitest', 'vitest.mjs'), 'run', '--root', FOLDER, '--globals'],
  ...['--pool', pool, '--maxWorkers=1', `--testTimeout=${PATIENCE_MS}`],
]

export function runnerCases(context) {
  // The oldest and the newest, unless all are asked for: each takes seconds.
  const versions = context.isWhole ? context.nodes : [context.nodes[0], context.nodes.at(-1)]
  const pools = ['vmThreads', 'vmForks', 'threads', 'forks'].map((pool) => [
    `Vitest, pool ${pool}`,
    (user) => assertPasses(user, vitest(context, pool)),
  ])
  const cases = {
    'node:test': assertNodePasses,
    Jest: (user) => assertPasses(user, jest(context)),
    ...Object.fromEntries(pools),
  }
  return onEach(context, () => cases, versions)
}
