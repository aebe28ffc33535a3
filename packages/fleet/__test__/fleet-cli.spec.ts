// `vmexit fleet run` and `put`, without a server.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { vmexit } from '../../../__test__/helpers/cli.ts'
import { hashOf } from '../src/store/store.ts'
import { modules, place } from './helpers/jobs.ts'

const jobs = ['a', 'b'].map((id) => ({ id, module: 'echo', input: id }))
const lines = jobs.map((job) => JSON.stringify(job)).join('\n\n')

for (const [name, text] of Object.entries({ lines, array: ` \n${JSON.stringify(jobs, null, 2)}` }))
  test(`run takes JSON, ${name}, and prints a result on each line`, async (t) => {
    const { folder } = place(t)
    const file = join(folder, 'jobs')
    writeFileSync(file, text)
    const args = ['fleet', 'run', file, '--modules', modules, '--json', '--concurrency', '2']
    const { code, stdout, stderr } = await vmexit(args)
    const found = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.is(code, 0, stderr)
    t.deepEqual(found.flatMap(({ id }) => id ?? []).toSorted(), ['a', 'b'])
    t.like(found.at(-1).summary, { jobs: 2, done: 2, failed: 0 })
    t.regex(stderr, /2 jobs in .*: 2 done, 0 failed, .* a second, \d+ % in guests/)
  })

test('a failed job is a line with its reason, and exit code 1', async (t) => {
  const { folder } = place(t)
  const input = `${lines}\n{"id":"c","module":"wrong","input":"throw"}\n`
  const args = ['fleet', 'run', '-', '--modules', modules, '--cache', folder]
  const { code, stdout } = await vmexit(args, { input })
  t.is(code, 1)
  t.regex(stdout.toString(), /^failed +c .*ERR_HANDLER: module 'wrong': thrown$/m)
  t.is(stdout.toString().match(/^done /gm)?.length, 2)
})

test('put prints the hashes of files', async (t) => {
  const { folder } = place(t)
  const file = join(folder, 'file')
  writeFileSync(file, 'hello')
  const { code, stdout } = await vmexit(['fleet', 'put', file, '--store', join(folder, 'store')])
  t.is(code, 0)
  t.is(stdout.toString(), `${hashOf(new TextEncoder().encode('hello'))}  ${file}\n`)
})

const wrong: [args: string[], input: string, message: RegExp][] = [
  [['run'], '', /fleet run needs FILE/],
  [['run', '-', '--jsno'], '', /unknown option '--jsno'/],
  [['run', '-', '--concurrency', 'many'], '', /--concurrency must be a whole number/],
  [['run', '-', '--timeout', 'soon'], '', /--timeout must be seconds/],
  [['run', '-'], '{"id":"a"', /-:1 is no JSON/],
  [['run', '-'], '{"id":"a"}', /one of definition, snapshot and native/],
  [['run', '-'], '[1]', /must be an object/],
  [['put', 'x'], '', /needs --store STORE/],
  [['rum'], '', /unknown command 'fleet rum'/],
]

test('what is wrong with a command line ends it with 2', async (t) => {
  for (const [args, input, message] of wrong) {
    const { code, stderr } = await vmexit(['fleet', ...args], { input })
    t.is(code, 2, args.join(' '))
    t.regex(stderr, message)
  }
})
