// The documents: their code compiles, their commands exist, their blocks say what they are.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'
import { compile } from './helpers/compile.ts'
import { allSnippets, isGuide, linesOf, matches, promised, toModule } from './helpers/snippets.ts'

const execute = promisify(execFile)
const vmexit = resolve('dist/cli/main.js')

// As if inside the package, so that its own name leads to dist/.
const programs = new Map(
  allSnippets
    .filter((snippet) => snippet.language === 'ts' && !isGuide(snippet))
    .map((snippet, index) => [resolve('.cache', `snippet-${index}.ts`), snippet]),
)
const modules = new Map([...programs].map(([file, snippet]) => [file, toModule(snippet)]))
const errors = compile(modules)

for (const [file, snippet] of programs) {
  test(`${snippet.place} compiles`, (t) => {
    t.deepEqual(errors.get(file) ?? [], [])
  })
}

const { name, scripts: known } = JSON.parse(readFileSync('package.json', 'utf8'))
const helps = new Map<string, Promise<string>>()

function helpOf(...commands: string[]): Promise<string> {
  const key = commands.join(' ')
  const help =
    helps.get(key) ??
    execute(process.execPath, [vmexit, ...commands, '--help']).then(({ stdout }) => stdout)
  helps.set(key, help)
  return help
}

/** Programs that are not ours, and are not looked into; `native-docs.spec.ts` runs compilers. */
const foreign = ['virsh', 'virt-install', 'virt-manager', 'virt-viewer', 'curl', 'cc']

/**
 * What is wrong with a command line that is not run: a script, command or option that does not
 * exist.
 */
async function problem(line: string): Promise<string | undefined> {
  const words = line.replace(/ +#.*$/, '').split(/\s+/)
  const [program, verb = '', command = ''] = words
  if (program === 'npx' && verb === name) {
    // Commands of the fleet have commands.
    const more = command === 'fleet' ? words.slice(3, 4) : []
    const help = await helpOf(command, ...more.filter((word) => !word.startsWith('--')))
    return words.filter((word) => word.startsWith('--')).find((option) => !help.includes(option))
  }
  if (program === 'npm' && verb === 'install')
    return words.slice(2).find((each) => ![name, '@vmexit/fleet', '@vmexit/manager'].includes(each))
  if (foreign.includes(program!)) return undefined
  if (program === 'npm') return (verb === 'run' ? command : verb) in known ? undefined : line
  return line
}

for (const script of allSnippets.filter(
  ({ language, output }) => language === 'sh' && output === undefined,
)) {
  test(`${script.place} names what exists`, async (t) => {
    // What the guide types is run, and other programs are in its folder.
    const isOurs = (line: string): boolean => !isGuide(script) || line.startsWith(`npx ${name} `)
    const problems = await Promise.all(linesOf(script.code).filter(isOurs).map(problem))
    t.deepEqual(
      problems.filter((found) => found !== undefined),
      [],
    )
  })
}

test('every block says what it is', (t) => {
  const languages = ['ts', 'sh', 'asm', 'c', 'c++', 'rust', 'zig', 'ld', 'json']
  const others = allSnippets.filter(({ language }) => !languages.includes(language))
  t.deepEqual(
    others.map(({ place, language }) => `${place}: ${language}`),
    [],
  )
  t.true(programs.size > 30)
  t.true(allSnippets.some(({ place }) => place.startsWith('README.md')))
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
