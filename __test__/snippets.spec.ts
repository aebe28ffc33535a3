// The code in Markdown files and in the doc comments of the API runs against dist/, and prints what it says.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'
import type { CpuMode, Privilege } from '../src/index.ts'
import { repositoryFiles } from './helpers/architecture/files.ts'
import { kvmTest, skipsMode } from './helpers/kvm.ts'
import {
  type Snippet,
  compile,
  docComments,
  linesOf,
  matches,
  modesOf,
  promised,
  snippets,
  toModule,
} from './helpers/snippets.ts'

const execute = promisify(execFile)
const timeout = 60_000
const vmexit = resolve('dist/cli/main.js')

const files = repositoryFiles()
const markdown = files.filter(({ path }) => path.endsWith('.md'))
const sources = files.filter(({ path }) => /^src\/[^/]+\.ts$/.test(path))
const inMarkdown = markdown.flatMap(snippets)
const all = [...inMarkdown, ...sources.map(docComments).flatMap(snippets)]

// Inside the package, so that its own name leads to dist/.
mkdirSync('.cache', { recursive: true })
const folder = mkdtempSync(resolve('.cache/snippets-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const programs = new Map(
  all
    .filter(({ language }) => language === 'ts')
    .map((snippet, index) => [join(folder, `${index}.ts`), snippet]),
)
const scripts = all.filter(({ language }) => language === 'sh')

const modules = new Map([...programs].map(([file, snippet]) => [file, toModule(snippet)]))
const { javascript, errors } = compile(modules)

/** All in one process, in the order in which they stand. */
async function runPrograms(): Promise<Record<string, string>> {
  for (const [file, text] of javascript) writeFileSync(file.replace(/\.js$/, '.mjs'), text)
  const run = [...programs.keys()].map((file) => file.replace(/\.ts$/, '.mjs'))
  const args = [resolve('__test__/fixtures/snippets.mjs'), ...run]
  const { stdout } = await execute(process.execPath, args, { timeout })
  return JSON.parse(stdout)
}

let running: Promise<Record<string, string>> | undefined

for (const [file, snippet] of programs) {
  test(`${snippet.place} compiles`, (t) => {
    t.deepEqual(errors.get(file) ?? [], [])
  })

  kvmTest(`${snippet.place} prints what it says`, async (t) => {
    const modes = modesOf(snippet.code) as [CpuMode, Privilege][]
    if (modes.some(([mode, privilege]) => skipsMode(t, mode, privilege))) return
    running ??= runPrograms()
    const printed = linesOf((await running)[file.replace(/\.ts$/, '.mjs')] ?? '')
    t.not(promised(snippet).length, 0, 'it must print something')
    t.true(matches(printed, promised(snippet)), printed.join('\n'))
  })
}

/** Runs a shell script in a folder of its own, where `npx vmexit` is this one. */
async function runScript({ code, assembly }: Snippet): Promise<string> {
  const place = mkdtempSync(join(folder, 'sh-'))
  const npx = join(place, 'npx')
  writeFileSync(npx, `#!/bin/sh\nshift\nexec '${process.execPath}' '${vmexit}' "$@"\n`, {
    mode: 0o755,
  })
  if (assembly !== undefined) writeFileSync(join(place, /\w+\.S/.exec(code)![0]), assembly)
  const env = { ...process.env, PATH: `${place}:${process.env['PATH']}` }
  const { stdout } = await execute('sh', ['-ec', code], { cwd: place, env, timeout })
  return stdout
}

const { name, scripts: known } = JSON.parse(readFileSync('package.json', 'utf8'))
const helps = new Map<string, Promise<string>>()

function helpOf(command: string): Promise<string> {
  const help =
    helps.get(command) ??
    execute(process.execPath, [vmexit, command, '--help']).then(({ stdout }) => stdout)
  helps.set(command, help)
  return help
}

/** What is wrong with a command line that is not run: a script, command or option that does not exist. */
async function problem(line: string): Promise<string | undefined> {
  const words = line.replace(/ +#.*$/, '').split(/\s+/)
  const [program, verb = '', command = ''] = words
  if (program === 'npx' && verb === name) {
    const help = await helpOf(command)
    return words.filter((word) => word.startsWith('--')).find((option) => !help.includes(option))
  }
  if (program === 'npm' && verb === 'install') return command === name ? undefined : command
  if (program === 'npm') return (verb === 'run' ? command : verb) in known ? undefined : line
  return line
}

for (const script of scripts) {
  if (script.output === undefined) {
    test(`${script.place} names what exists`, async (t) => {
      t.deepEqual(
        (await Promise.all(linesOf(script.code).map(problem))).filter(
          (found) => found !== undefined,
        ),
        [],
      )
    })
  } else {
    kvmTest(`${script.place} prints what it says`, async (t) => {
      const printed = linesOf(await runScript(script))
      t.true(matches(printed, promised(script)), printed.join('\n'))
    })
  }
}

test('every block says what it is', (t) => {
  const languages = ['ts', 'sh', 'asm']
  const others = all.filter(({ language }) => !languages.includes(language))
  t.deepEqual(
    others.map(({ place, language }) => `${place}: ${language}`),
    [],
  )
  t.true(programs.size > 30)
  t.true(inMarkdown.some(({ place }) => place.startsWith('README.md')))
})

test('output is compared by line, and … is any text within one', (t) => {
  const snippet = { place: '', language: 'ts', output: undefined, assembly: undefined }
  const code = 'console.log(1) // 1 (one)\nf() // no\n  if (x) console.log(f(2)) // 2 …'
  t.deepEqual(promised({ ...snippet, code }), ['1 (one)', '2 …'])
  t.deepEqual(promised({ ...snippet, code, output: 'a\n\nb\n' }), ['a', 'b'])
  t.true(matches(['1 (one)', '2 anything'], ['1 (one)', '2 …']))
  t.false(matches(['1 (one)', '3'], ['1 (one)', '2 …']))
  t.false(matches(['1 (one)'], ['1 (one)', '2 …']))
  t.false(matches(['1 one'], ['1 (one)']))
})

test('the figures that README.md repeats are those of docs/exits.md', (t) => {
  const rows = (path: string): string[] => readFileSync(path, 'utf8').match(/^\|.*µs \|.*$/gm) ?? []
  const repeated = rows('README.md')
  t.true(repeated.length > 2)
  t.deepEqual(
    repeated.filter((row) => !rows('docs/exits.md').includes(row)),
    [],
  )
})

for (const { path, text } of markdown) {
  test(`the links of ${path} lead to files`, (t) => {
    const links = [...text.matchAll(/\]\(([^)#]+)(#[^)]*)?\)/g)].map(([, link = '']) => link)
    const local = links.filter((link) => !link.includes('://'))
    t.deepEqual(
      local.filter((link) => !existsSync(join(dirname(path), link))),
      [],
    )
  })
}
