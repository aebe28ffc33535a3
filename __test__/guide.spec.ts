// The guide is followed from an empty folder: its TypeScript compiles, its commands run, and they
// print what it says.
import { readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

import test from 'ava'

import { until } from './fixtures/until.ts'
import { compile } from './helpers/compile.ts'
import { chapterOf, chapters, here, isKnown, modulesOf, walk } from './helpers/guide.ts'
import { kvmTest } from './helpers/kvm.ts'
import { Lanes } from './helpers/lanes.ts'

const all = chapters()

const modules = new Map(
  all.flatMap((chapter) => [...modulesOf(chapter, resolve('.cache/guide', chapter.path))]),
)
const errors = compile(new Map([...modules].map(([file, [code]]) => [file, code])))

/** Chapters share two processors with each other and with other tests. */
const lanes = new Lanes(2)

for (const chapter of all) {
  test(`${chapter.path} compiles`, (t) => {
    const found = [...modules].flatMap(([file, [, { line }]]) =>
      file.startsWith(`${resolve('.cache/guide', chapter.path)}/`)
        ? (errors.get(file) ?? []).map((text) => `${chapter.path}:${line}: ${text}`)
        : [],
    )
    t.deepEqual([...new Set(found)], [])
  })

  test(`${chapter.path} can be followed`, (t) => {
    t.deepEqual(chapter.problems, [])
    const unknown = chapter.steps.flatMap(({ needs }) => needs.filter((need) => !isKnown(need)))
    t.deepEqual(unknown, [])
  })

  kvmTest(`${chapter.path} prints what it says`, async (t) => {
    t.timeout(3_600_000)
    const { ran, skipped, failure } = await lanes.inTurn(() => walk(chapter, here()))
    for (const reason of skipped) t.log(`skipped: ${reason}`)
    t.is(failure, undefined, failure)
    t.log(`${ran} blocks ran, ${skipped.length} skipped`)
  })
}

const bodies = all
  .filter(({ path }) => !path.endsWith('README.md'))
  .map(({ path }) => ({ path, text: readFileSync(path, 'utf8') }))

for (const [index, { path, text }] of bodies.entries()) {
  test(`${path} has a picture, what went wrong, exercises, and leads to the next`, (t) => {
    const pictures = [...text.matchAll(/!\[([^\]]+)\]\(([^)]+\.svg)\)/g)]
    t.is(pictures.length, 1)
    for (const [, words = '', picture = ''] of pictures) {
      t.true(words.length > 40, words)
      const svg = readFileSync(join(dirname(path), picture), 'utf8')
      // As a picture of its own, it has no colours of the page around it.
      t.regex(svg, /<title[ >][^]*prefers-color-scheme: dark/)
    }
    t.regex(text, /^## What went wrong if$[^]*^## Exercises$/m)
    const next = bodies[index + 1]?.path
    if (next) t.true(text.includes(`](${basename(next)})`), next)
  })
}

/** A page with blocks, each as its info string and its text, or as a line between them. */
const page = (...parts: (string | [string, string])[]): string =>
  parts
    .map((part) => (typeof part === 'string' ? part : `\`\`\`${part.join('\n')}\n\`\`\``))
    .join('\n')

const followed = (text: string) => walk(chapterOf('a.md', text), here())

test('a chapter that says something else ends where it does', async (t) => {
  const file: [string, string] = ['ts', "// a.ts\nconsole.log('one')\nconsole.error('two 2')"]
  const right: [string, string][] = [
    ['sh', 'node a.ts'],
    ['text output', 'one\ntwo …'],
  ]
  const text = page(file, ...right, ['sh', 'node a.ts'], ['text output', 'one\nthree'])
  const { failure, ran } = await followed(text)
  t.is(ran, 2)
  t.is(failure, 'a.md:13: node a.ts\npromised:\n    one\n  - three\nprinted:\n    one\n  + two 2')
  t.deepEqual(await followed(page(file, ...right)), { ran: 1, skipped: [], failure: undefined })
  const again = page(file, ['ts', "// a.ts\nconsole.log('new')"], ...right)
  t.regex((await followed(again)).failure ?? '', /\+ new/)
})

test('a command that fails is shown to, or it is a failure', async (t) => {
  t.regex((await followed(page(['sh', 'false\ntrue']))).failure ?? '', /^a.md:1: [^]*ended with 1/)
  t.is((await followed(page(['sh', 'false\necho $?'], ['text output', '1']))).failure, undefined)
})

/** Whether a process runs; one that has ended and that nothing waits for does not. */
function isRunning(pid: string): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('what a chapter leaves running ends with the walk, however that ends', async (t) => {
  const text = page(['sh', 'setsid sleep 600 &\necho $! runs'], ['text output', 'nothing'])
  const { failure = '' } = await followed(text)
  const [, pid = ''] = /(\d+) runs/.exec(failure) ?? []
  t.not(pid, '', failure)
  t.true(await until(() => !isRunning(pid)))
})

test('what a machine lacks is left out, and said', async (t) => {
  const blocks: [string, string][] = [['sh', 'exit 1']]
  const { ran, skipped, failure } = await followed(page('<!-- needs: unicorn -->', ...blocks))
  t.deepEqual([ran, skipped, failure], [0, ["a.md:2: unknown need 'unicorn'"], undefined])
  t.true((await followed(page('<!-- needs: unicorn -->', 'text', ...blocks))).failure !== undefined)
})

test('what a reader could not follow is named', (t) => {
  const { problems } = chapterOf(
    'a.md',
    page(['text output', 'x'], ['pascal', ''], ['sh', '# ../a.sh'], '<!-- file: /b -->', [
      'json',
      '',
    ]),
  )
  t.deepEqual(
    problems.map((line) => line.slice(0, 7)),
    ['a.md:1:', 'a.md:4:', 'a.md:7:', 'a.md:11'],
  )
})
