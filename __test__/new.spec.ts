// `vmexit new`: what it makes, that all of it runs, and that a failure leaves nothing.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

import test from 'ava'
import ts from 'typescript'

import { makeProject } from '../src/cli/new/make.ts'
import { templates } from '../src/cli/new/templates.ts'
import { findProgram } from '../src/native/programs.ts'
import { until } from './fixtures/until.ts'
import { main, vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'

const execute = promisify(execFile)
const names = templates.map(({ name }) => name)

const folder = mkdtempSync(join(tmpdir(), 'vmexit-new-spec-'))
test.after.always(() => rmSync(folder, { recursive: true }))

let made = 0

/** A folder in which one test is alone. */
function own(): string {
  made += 1
  const path = join(folder, String(made))
  mkdirSync(path)
  return path
}

const filesIn = (path: string): string[] =>
  (readdirSync(path, { recursive: true }) as string[])
    .filter((file) => statSync(join(path, file)).isFile())
    .toSorted()

/** What a project of a template has: its files, one by another name. */
const filesOf = (template: string): string[] =>
  filesIn(join('templates', template))
    .map((file) => (file === 'gitignore' ? '.gitignore' : file))
    .toSorted()

const goesOn = new AbortController().signal

test('the templates are the folders', (t) => {
  t.deepEqual(names.toSorted(), readdirSync('templates').toSorted())
  for (const name of names) {
    const files = filesIn(join('templates', name))
    for (const file of ['package.json', 'gitignore', 'README.md', 'start.mjs'])
      t.true(files.includes(file), `${name}: ${file}`)
    t.true(files.some((file) => file.endsWith('.test.mjs')))
    t.false(files.some((file) => /(^|\/)\.|node_modules|(^|\/)build\//.test(file)))
  }
})

for (const name of names) {
  test(`new ${name}: all files, and what to do next`, async (t) => {
    const at = join(own(), 'some where', name)
    const { code, stdout, stderr } = await vmexit(['new', name, at])
    t.deepEqual([code, stderr], [0, ''])
    t.deepEqual(filesIn(at), filesOf(name))
    t.is(statSync(at).mode & 0o777, 0o777 & ~process.umask())
    const said = stdout.toString()
    t.true(said.startsWith(`${name}: ${name}, `), said)
    for (const step of ["  cd '", '  npm install\n', '  npm start\n', '  npm test\n'])
      t.true(said.includes(step), step)
    const manifest = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'))
    t.like(manifest, { name, private: true, type: 'module' })
    // From a checkout a project depends on the checkout.
    t.deepEqual(manifest.dependencies, { vmexit: `file:${resolve('.')}` })
  })
}

for (const { name, needs } of templates) {
  const missing = needs.find((program) => findProgram(program) === undefined)
  kvmTest(`${name} starts, and passes its own tests`, async (t) => {
    if (missing !== undefined) {
      t.log(`skipped: no ${missing} here`)
      t.pass()
      return
    }
    const at = join(own(), name)
    const template = templates.find((each) => each.name === name)!
    await makeProject(template, at, goesOn)
    mkdirSync(join(at, 'node_modules'))
    symlinkSync(resolve('.'), join(at, 'node_modules/vmexit'))
    const options = { cwd: at, timeout: 600_000, env: environment() }
    const started = execute(process.execPath, ['start.mjs'], options)
    started.child.stdin?.end()
    t.regex((await started).stdout, /\w/)
    const { stdout } = await execute(process.execPath, ['--test'], options)
    t.regex(stdout, /^\D*pass [1-9]/m)
    t.regex(stdout, /^\D*fail 0$/m)
  })
}

/** What a user's shell has: nothing of the test runner's. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...rest } = process.env
  return rest
}

test('the templates hold their types', (t) => {
  const files = names.flatMap((name) =>
    filesIn(join('templates', name))
      .filter((file) => file.endsWith('.mjs'))
      .map((file) => join('templates', name, file)),
  )
  const program = ts.createProgram(files, {
    allowJs: true,
    checkJs: true,
    strict: true,
    noEmit: true,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
  })
  const errors = ts
    .getPreEmitDiagnostics(program)
    .map(
      ({ file, messageText }) =>
        `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    )
  t.deepEqual(errors, [])
  for (const file of files) t.regex(readFileSync(file, 'utf8'), /^\/\/ @ts-check\n/)
})

test('--json: one document', async (t) => {
  const at = join(own(), 'json')
  const [code, document] = await vmexitJson(['new', 'device', at])
  t.is(code, 0)
  const next = ['npm install', 'npm start', 'npm test']
  t.like(document, { template: 'device', folder: at, name: 'json', files: filesOf('device') })
  t.deepEqual(document.next.slice(1), next)
  const [failed, { error }] = await vmexitJson(['new', 'device', at])
  t.is(failed, 2)
  t.like(error, { code: 'ERR_INVALID_OPTION' })
  t.regex(error.message, /^DIR must be a new or an empty folder, got '.*', which has \.gitignore/)
})

test('an empty folder is filled, and stays the same one', async (t) => {
  const at = own()
  const { ino } = statSync(at)
  const child = spawn(process.execPath, [main, 'new', 'native', '.'], { cwd: at })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text))
  await ended(child)
  t.deepEqual([statSync(at).ino, filesIn(at)], [ino, filesOf('native')])
  t.false(said.includes('cd '))
})

const rows: [title: string, args: (at: string) => string[], message: RegExp][] = [
  ['no template', () => [], /new needs a template and a folder: boot-sector, c-guest, /],
  [
    'an unknown template',
    (at) => ['kernel-tets', join(at, 'x')],
    /TEMPLATE must be one of boot-sector, .*, got 'kernel-tets'; did you mean kernel-test\?/,
  ],
  [
    'no folder',
    () => ['native'],
    /new needs a folder, too: new native DIR; see vmexit new --help$/,
  ],
  ['two folders', (at) => ['native', join(at, 'x'), 'y'], /new takes one folder, got 'y' too/],
  [
    'a folder with something in it',
    (at) => ['native', at],
    /got '.*', which has a file; name another one, or empty it; see vmexit new --help$/,
  ],
  [
    'a file',
    (at) => ['native', join(at, 'a file')],
    /DIR must be .*, got '.*\/a file', which is a file; name another one/,
  ],
  ['below a file', (at) => ['native', join(at, 'a file/x')], /DIR: ENOTDIR/],
]

for (const [title, args, message] of rows) {
  test(`an error, and nothing is made: ${title}`, async (t) => {
    const at = own()
    writeFileSync(join(at, 'a file'), '')
    const { code, stdout, stderr } = await vmexit(['new', ...args(at)])
    t.deepEqual([code, stdout.toString()], [2, ''])
    t.regex(stderr.trim(), message)
    t.deepEqual(readdirSync(at), ['a file'])
  })
}

test('the name is one that npm takes', async (t) => {
  const cases = {
    'My Kernel (2)': 'my-kernel-2',
    '.hidden': 'hidden',
    ü: 'c-guest',
    vmexit: 'c-guest',
    node_modules: 'c-guest',
    'a.b_c-d': 'a.b_c-d',
  }
  const template = templates.find(({ name }) => name === 'c-guest')!
  for (const [given, name] of Object.entries(cases)) {
    const project = await makeProject(template, join(own(), given), goesOn)
    t.is(project?.name, name)
  }
})

test('what is not on PATH is named, with what to install', async (t) => {
  const env = { PATH: '/nowhere', CC: '' }
  const c = await vmexit(['new', 'native', join(own(), 'x')], { env })
  t.regex(c.stdout.toString(), /^It needs cc, which is not on PATH: apt install gcc$/m)
  const as = await vmexit(['new', 'device', join(own(), 'x')], { env })
  t.regex(as.stdout.toString(), /^It needs as, which is not on PATH: apt install binutils$/m)
})

test('stopped before the end, it leaves nothing, not even the folders on the way', async (t) => {
  const at = own()
  const stop = AbortSignal.abort()
  t.is(await makeProject(templates[0], join(at, 'a/b/c'), stop), undefined)
  t.deepEqual(readdirSync(at), [])
  mkdirSync(join(at, 'empty'))
  t.is(await makeProject(templates[0], join(at, 'empty'), stop), undefined)
  t.deepEqual(readdirSync(join(at, 'empty')), [])
})

test('another that is faster is not overwritten', async (t) => {
  const at = own()
  const making = makeProject(templates[0], join(at, 'x'), goesOn)
  mkdirSync(join(at, 'x'))
  writeFileSync(join(at, 'x/theirs'), '')
  await t.throwsAsync(making, { code: 'ENOTEMPTY' })
  t.deepEqual([readdirSync(at), readdirSync(join(at, 'x'))], [['x'], ['theirs']])
})

test('Ctrl-C at any time: all of the project, or nothing', async (t) => {
  const ends = new Set<string>()
  const began = performance.now()
  await vmexit(['new', 'kernel-test', join(own(), 'x')])
  const wholeMs = performance.now() - began
  const turns = 12
  for (let turn = 0; turn <= turns; turn++) {
    const at = own()
    const child = spawn(process.execPath, [main, 'new', 'kernel-test', join(at, 'a/x')])
    const isOver = ended(child)
    // At some time; or as soon as there is something.
    if (turn % 2 === 0) await sleep((wholeMs * turn) / turns)
    else await until(() => readdirSync(at).length > 0)
    child.kill('SIGINT')
    const code = await isOver
    const isThere = existsSync(join(at, 'a/x'))
    ends.add(isThere ? 'all' : 'nothing')
    if (isThere) t.deepEqual(filesIn(join(at, 'a/x')), filesOf('kernel-test'))
    else t.deepEqual(readdirSync(at), [], `turn ${turn} ended with ${code}`)
  }
  t.log([...ends].join(', '))
})

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((done) => child.on('close', done))
