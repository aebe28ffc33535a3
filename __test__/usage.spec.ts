// What the command line says of itself: help, what was meant by a wrong word, colour.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { routeNames } from '../src/bench/route-names.ts'
import { benchRoutes } from '../src/bench/routes/routes.ts'
import { commands } from '../src/cli/commands.ts'
import { distance, nearest } from '../src/options/nearest.ts'
import { type Ran, vmexit } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-usage-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const hlt = join(folder, 'hlt.bin')
writeFileSync(hlt, Uint8Array.of(0xf4))

const text = ({ stdout }: Ran): string => stdout.toString()

test('help COMMAND is COMMAND --help, and names every option', async (t) => {
  for (const { name, options } of commands) {
    const [asked, flagged] = await Promise.all([vmexit(['help', name]), vmexit([name, '--help'])])
    t.deepEqual([asked.code, asked.stderr], [0, ''])
    t.is(text(asked), text(flagged))
    t.true(text(asked).startsWith(`Usage: vmexit ${name}`))
    for (const option of Object.keys(options)) t.true(text(asked).includes(`  --${option}`), option)
    t.true(
      text(asked)
        .split('\n')
        .every((line) => line.length <= 105),
    )
  }
  t.is(text(await vmexit(['help'])), text(await vmexit(['--help'])))
})

test('help and completion need no binding', (t) => {
  const copy = join(folder, 'copy')
  // Without index.js, and with nothing that leads to one.
  for (const part of ['dist', 'package.json']) cpSync(part, join(copy, part), { recursive: true })
  for (const args of [['help', 'bench'], ['run', '--help'], ['completion', 'bash'], ['help']]) {
    const { status, stderr } = spawnSync(process.execPath, [
      join(copy, 'dist/cli/main.js'),
      ...args,
    ])
    t.deepEqual([status, stderr.toString()], [0, ''], args.join(' '))
  }
})

test('the list of commands names every one', async (t) => {
  const shown = text(await vmexit([]))
  for (const { name, summary } of commands)
    t.true(shown.includes(`  ${name}`) && shown.includes(summary))
})

test('the routes of the help are those that are measured', (t) => {
  t.deepEqual(
    benchRoutes.map(({ name }) => name),
    routeNames,
  )
})

const wrong: [string[], RegExp][] = [
  [['rnu'], /unknown command 'rnu'; did you mean run\? See vmexit --help$/],
  [['help', 'boto'], /unknown command 'boto'; did you mean boot\? See vmexit --help$/],
  [['help', 'run', 'boot'], /help takes one command, got 'boot' too/],
  [['--hlep'], /unknown option '--hlep'; did you mean --help\?/],
  [['frobnicate'], /unknown command 'frobnicate'; see vmexit --help$/],
  [
    ['run', hlt, '--mdoe', 'long'],
    /unknown option '--mdoe'; did you mean --mode\? See vmexit run --help$/,
  ],
  [['run', hlt, '--mode', 'logn'], /got 'logn'; did you mean long\?/],
  [['run', hlt, '--mode', 'REAL'], /got 'REAL'; did you mean real\?/],
  [['run', hlt, '--format', 'bzimg'], /got 'bzimg'; did you mean bzimage\?/],
  [['run', hlt, '--mode', 'long', '--port', '0xe9=consloe'], /did you mean console\?/],
  [['boot', hlt, '--tiemout', '5s'], /did you mean --timeout\? See vmexit boot --help$/],
  [['bench', '--route', 'devise'], /got 'devise'; did you mean device\? See vmexit bench --help$/],
  [['completion', 'fihs'], /got 'fihs'; did you mean fish\?/],
  [['run', hlt, '--json=yes'], /--json takes no value, got 'yes'/],
  [['run', hlt, '--mode'], /--mode needs a value: --mode MODE; see vmexit run --help$/],
  [['run', hlt, '--load', '--json'], /--load needs a value: --load GPA/],
  [
    ['run', '-', '--serial', '--mode', 'long'],
    /stdin cannot be the image \(-\) and the serial port/,
  ],
  [['boot', '-'], /boot needs a kernel's path; stdin is its serial port/],
]

test('an error names the help of its command, and the word that was probably meant', async (t) => {
  const all = await Promise.all(wrong.map(([args]) => vmexit(args)))
  for (const [index, { code, stdout, stderr }] of all.entries()) {
    const [args, message] = wrong[index]!
    t.is(code, 2, args.join(' '))
    if (!args.includes('--json')) t.is(stdout.length, 0)
    t.regex(stderr.trimEnd(), message)
  }
})

const refused: [args: string, message: string][] = [
  ['--memory 5000', '--memory must be a positive multiple of 4096, got 5000'],
  ['--load 0x300000', 'raise --memory or move --load'],
  ['--entry 0x300000', '--entry must lie in'],
  ['--privilege user --mode real', "--privilege 'user' needs --mode 'long', got --mode 'real'"],
  ['--port 0x1ffff=stop', '--port 0x1ffff=stop must be a whole number'],
  [
    '--port 1=stop --port 0-2=count',
    '--port 0-2=count (port 0x0..=0x2) overlaps --port 1=stop (port 0x1)',
  ],
  ['--cpus 65', '--cpus must be 1 to 64, got 65'],
  ['--timeout 50000000m', '--timeout must be a number of milliseconds'],
  ['--pc --memory 512K', '--pc needs --memory of at least'],
]

kvmTest('what the machine refuses is said in flags, in the document too', async (t) => {
  const all = await Promise.all(
    refused.map(async ([words, message]) => {
      const args = ['run', hlt, '--mode', 'long', ...words.split(' ')]
      const { code, stdout, stderr } = await vmexit([...args, '--json'])
      return { words, message, code, stderr, error: JSON.parse(stdout.toString()).error }
    }),
  )
  for (const { words, message, code, stderr, error } of all) {
    t.is(code, 2, words)
    t.true(stderr.includes(message), stderr)
    t.true(stderr.endsWith('; see vmexit run --help\n'), stderr)
    t.true(error.message.includes(message), error.message)
    t.regex(error.code, /^ERR_/)
  }
})

test('the nearest word is one that a slip of the finger makes, or none', (t) => {
  t.is(distance('', 'abc'), 3)
  t.is(distance('timeout', 'tiemout'), 1)
  t.is(distance('kitten', 'sitting'), 3)
  const words = ['run', 'boot', 'bench', 'doctor']
  t.is(nearest('dcotor', words), 'doctor')
  t.is(nearest('Bench', words), 'bench')
  t.is(nearest('fly', words), undefined)
  t.is(nearest('x', []), undefined)
})

test('colour: FORCE_COLOR decides, then NO_COLOR, and a pipe gets none unasked', async (t) => {
  const isColoured = async (env: NodeJS.ProcessEnv): Promise<boolean> => {
    const plain = { FORCE_COLOR: undefined, NO_COLOR: undefined }
    return (await vmexit(['doctor'], { env: { ...plain, ...env } })).stdout.includes(0x1b)
  }
  t.false(await isColoured({}))
  t.true(await isColoured({ FORCE_COLOR: '1' }))
  t.true(await isColoured({ FORCE_COLOR: '' }))
  t.false(await isColoured({ FORCE_COLOR: '0' }))
  t.false(await isColoured({ NO_COLOR: '1' }))
  t.true(await isColoured({ FORCE_COLOR: '1', NO_COLOR: '1' }))
})
