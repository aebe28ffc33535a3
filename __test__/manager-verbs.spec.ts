// The verbs of `@vmexit/manager`: handed over where it is installed, and explained where it is not.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { vmexit } from './helpers/cli.ts'

// The built one: what is checked here is the same whatever the KVM.
const { isVerb, verbs } = (await import(
  new URL('../dist/cli/manager.js', import.meta.url).href
)) as { isVerb(name: string): boolean; verbs: readonly { name: string }[] }

const folder = mkdtempSync(join(tmpdir(), 'vmexit-verbs-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** A copy of the command with nothing beside it. */
function copyOf(name: string): string {
  const copy = join(folder, name)
  for (const part of ['dist', 'package.json']) cpSync(part, join(copy, part), { recursive: true })
  return join(copy, 'dist/cli/main.js')
}

/** A manager that says what it was given, and ends with the number of words. */
function addManager(place: string): void {
  const manager = join(place, 'node_modules/@vmexit/manager')
  mkdirSync(manager, { recursive: true })
  const exports = { './cli': { default: './cli.js' } }
  writeFileSync(join(manager, 'package.json'), JSON.stringify({ type: 'module', exports }))
  const argument = { name: 'WHAT', words: ['save', 'rm'] }
  const options = { loud: { about: 'say more' }, state: { about: 'where', value: 'FILE' } }
  const known = [
    { name: 'snapshot', summary: 'a state', argument, options },
    { name: 'start', summary: 'go', argument: { name: 'MACHINE' }, options: {} },
  ]
  writeFileSync(
    join(manager, 'cli.js'),
    `export const verbs = ${JSON.stringify(known)}
     export const main = async (args) => (console.log(JSON.stringify(args)), args.length)`,
  )
}

const run = (main: string, args: readonly string[], cwd = folder) =>
  spawnSync(process.execPath, [main, ...args], { cwd, encoding: 'utf8' })

const alone = copyOf('alone')

test('without the manager a verb says what to install', (t) => {
  t.true(isVerb('ps') && !isVerb('run'))
  const lines = [
    ['ps'],
    ['ps', '--help'],
    ['help', 'start'],
    ['snapshot', 'save', '--what'],
    ['up'],
  ]
  for (const args of lines) {
    const { status, stdout, stderr } = run(alone, args)
    const name = args[0] === 'help' ? args[1] : args[0]
    const said = `vmexit: '${name}' is in another package: npm install @vmexit/manager\n`
    t.deepEqual([status, stdout, stderr], [1, '', said])
  }
  const { status, stdout } = run(alone, ['ps', '--json'])
  t.is(status, 1)
  const { error } = JSON.parse(stdout)
  t.is(error.code, 'ERR_NOT_INSTALLED')
  t.regex(error.message, /npm install @vmexit\/manager$/)
})

test('a wrong word is compared with the verbs, too', async (t) => {
  const { code, stderr } = await vmexit(['strat'])
  t.is(code, 2)
  t.regex(stderr, /unknown command 'strat'; did you mean start\?/)
})

test('the list of commands has them in a group of their own', (t) => {
  const { stdout } = run(alone, ['--help'])
  const group = /Machines .*npm install @vmexit\/manager\):\n((?: {2}\S.*\n)+)/.exec(stdout)?.[1]
  const names = group
    ?.trim()
    .split('\n')
    .map((line) => line.trim().split(' ')[0])
  t.deepEqual(
    names,
    verbs.map(({ name }) => name),
  )
})

test('with the manager a verb gets its words as they are', (t) => {
  const main = copyOf('beside/node_modules/vmexit')
  addManager(join(folder, 'beside'))
  const words = ['snapshot', '--what', '-x', 'a b', '--', '--json', '']
  t.like(run(main, words), {
    status: words.length,
    stdout: `${JSON.stringify(words)}\n`,
    stderr: '',
  })
  t.like(run(main, ['help', 'ps']), { status: 2, stdout: '["ps","--help"]\n' })
  // Its own commands stay its own.
  t.is(run(main, ['--version']).status, 0)
})

test('the manager is found beside the command as it was called', (t) => {
  // Each package in a folder of its own, and links to what the user has asked for.
  const main = copyOf('store/vmexit/node_modules/vmexit')
  const project = join(folder, 'project')
  addManager(project)
  symlinkSync(join(main, '../../..'), join(project, 'node_modules/vmexit'))
  t.is(run(join(project, 'node_modules/vmexit/dist/cli/main.js'), ['ps']).stdout, '["ps"]\n')
  mkdirSync(join(project, 'node_modules/.bin'))
  symlinkSync(main, join(project, 'node_modules/.bin/vmexit'))
  t.is(run(join(project, 'node_modules/.bin/vmexit'), ['ps']).stdout, '["ps"]\n')
  // A folder in which somebody stands is no reason to run what lies there.
  t.is(run(main, ['ps'], project).status, 1)
})

test('a manager that does not load is not called missing', (t) => {
  const main = copyOf('broken/node_modules/vmexit')
  addManager(join(folder, 'broken'))
  writeFileSync(join(folder, 'broken/node_modules/@vmexit/manager/cli.js'), `import 'not-there'`)
  const { status, stderr } = run(main, ['ps'])
  t.is(status, 1)
  t.regex(stderr, /not-there/)
})

test('completion knows the verbs, and with the manager their options', (t) => {
  const main = copyOf('completing/node_modules/vmexit')
  addManager(join(folder, 'completing'))
  const complete = (command: string, words: string[]): string[] => {
    const script = join(folder, 'vmexit.bash')
    writeFileSync(script, run(command, ['completion', 'bash']).stdout)
    const quoted = words.map((word) => `'${word}'`).join(' ')
    const ask = `vmexit() { [[ "$*" == 'ps --quiet' ]] && printf 'web\nwest\ndb\n'; }
      source '${script}'; COMP_WORDS=(${quoted}) COMP_CWORD=${words.length - 1}
      _vmexit; printf '%s\\n' "\${COMPREPLY[@]}"`
    return spawnSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' }).stdout.trim().split('\n')
  }
  t.deepEqual(complete(alone, ['vmexit', 'unde']), ['undefine'])
  t.deepEqual(complete(main, ['vmexit', 'snap']), ['snapshot'])
  t.deepEqual(complete(main, ['vmexit', 'snapshot', 's']), ['save'])
  t.deepEqual(complete(main, ['vmexit', 'snapshot', '--l']), ['--loud'])
  t.deepEqual(complete(main, ['vmexit', 'start', 'we']), ['web', 'west'])
  t.deepEqual(complete(main, ['vmexit', 'start', 'web', 'd']), ['db'])
  for (const shell of ['zsh', 'fish'])
    t.true(run(main, ['completion', shell]).stdout.includes('say more'), shell)
})
