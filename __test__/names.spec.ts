// What documents name of the command line, of the API, of its errors and of the ends of a run
// exists, and the definitions that they show are ones.
import test from 'ava'

import { NotInstalled } from '../src/cli/manager.ts'
import { check } from '../src/definition/check.ts'
import { machineRule } from '../src/definition/table.ts'
import { endings, exitReasons } from '../src/native/words.ts'
import { repositoryFiles } from './helpers/architecture/files.ts'
import { definitionsOf } from './helpers/documents/definitions.ts'
import { unknownFlags } from './helpers/documents/flags.ts'
import { memberCheck, unknownMembers } from './helpers/documents/members.ts'
import { proseOf } from './helpers/documents/text.ts'
import { errorCodes, managerCodes } from './helpers/documents/words.ts'

const documents = repositoryFiles().filter(
  // The change log also has what earlier releases had.
  ({ path }) => path.endsWith('.md') && path !== 'CHANGELOG.md',
)

/** Flags of other programs that stand alone in prose. */
const others = [
  // Of this repository's scripts.
  ...['--whole', '--steps'],
  // Of Node.js and Deno.
  ...['--no-experimental-require-module', '--permission', '--experimental-permission'],
  '--no-addons',
  ...['--allow-addons', '--allow-fs-read', '--allow-ffi'],
  // Of bundlers, and of the linker.
  ...['--external', '--compile', '--loader', '--gc-sections'],
  // Of npm and of Docker.
  ...['--omit', '--device', '--group-add'],
  // Of virt-install and virsh.
  ...['--security-info', '--import', '--boot'],
]

test('commands and flags are those of a command line', (t) => {
  t.deepEqual(
    documents.flatMap((file) => unknownFlags(file, others)),
    [],
  )
})

test('a flag, or a command, that is nowhere is found', (t) => {
  const found = (text: string): string[] => unknownFlags({ path: 'a.md', text }, ['--theirs'])
  t.deepEqual(
    found('`--timeout 5s` `--theirs` `npx vmexit run a.bin --mode=long` `vmexit boot`'),
    [],
  )
  t.deepEqual(found('`vmexit fleet run FILE --redis URL` `events -f --json` `ls --all`'), [])
  t.deepEqual(found('```sh\nnpx vmexit run a.bin --mode long | grep --quiet x # --no\n```'), [])
  t.deepEqual(found('`--silence-it`'), ['a.md:1: no --silence-it'])
  t.deepEqual(found('`vmexit run x --silence`'), ['a.md:1: run has no --silence'])
  t.deepEqual(found('\n`vmexit fly`'), ['a.md:2: no command fly'])
  t.deepEqual(found('`vmexit fleet put --attempts 2`'), ['a.md:1: fleet put has no --attempts'])
  t.deepEqual(found('```text\n$ vmexit boot x --mode long\n```'), ['a.md:2: boot has no --mode'])
})

const isMember = memberCheck()

test('members that documents name are those of the API', (t) => {
  t.deepEqual(
    documents.flatMap((file) => unknownMembers(file, isMember)),
    [],
  )
})

test('a member that is nowhere is found', (t) => {
  const right = ['vm.serial', 'vm.irq(line(1)).pulse()', 'vm.counters().network', 'vm.debug.means']
  right.push('result.fault.vector', 'await vm.pause()', 'fs.nothing', 'vm', 'p.stdin.write(x)')
  t.deepEqual(
    right.filter((code) => !isMember(code)),
    [],
  )
  for (const wrong of ['vm.line', 'vm.counters().irqs', 'vm.irq(2).flip()', 'result.error'])
    t.false(isMember(wrong), wrong)
})

test('codes of errors that documents name exist, wherever they stand', (t) => {
  t.true(errorCodes.length > 10 && managerCodes.length > 10)
  const known = new Set([...errorCodes, ...managerCodes, new NotInstalled().code])
  const named = documents.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<!\w)ERR_\w+/g)].map(([code]) => ({ path, code })),
  )
  t.true(named.length > 50)
  t.deepEqual(
    named.filter(({ code }) => !known.has(code)),
    [],
  )
})

/** What prose calls the end of a run, or of a process. */
const reasonsIn = (text: string): string[] =>
  [
    ...proseOf(text).matchAll(
      /\b(?:reason|(?:run|guest|program|process)\s+ends\s+with)\s+`'?([a-z-]+)'?`/g,
    ),
  ].map(([, reason = '']) => reason)

test('reasons for an end that documents name exist', (t) => {
  const known: readonly string[] = [...endings, ...exitReasons, 'exit', 'killed']
  const named = documents.flatMap(({ path, text }) =>
    reasonsIn(text).map((reason) => ({ path, reason })),
  )
  t.true(named.length > 4)
  t.deepEqual(
    named.filter(({ reason }) => !known.includes(reason)),
    [],
  )
  t.deepEqual(reasonsIn("the run ends\nwith `hlt`, or reason `'no-end'`"), ['hlt', 'no-end'])
})

/** What is wrong with a definition. */
function wrongWith(value: unknown): string[] {
  try {
    check(machineRule, value, '')
    return []
  } catch (error) {
    return [String(error)]
  }
}

test('definitions that documents show have keys and values that exist', (t) => {
  const shown = documents.flatMap((file) =>
    definitionsOf(file).map(({ line, value }) => ({ place: `${file.path}:${line}`, value })),
  )
  t.true(shown.length > 4)
  t.deepEqual(
    shown.flatMap(({ place, value }) => wrongWith(value).map((wrong) => `${place}: ${wrong}`)),
    [],
  )
  const text = '```text\n{\n  "payload": { "guest": "hello" }, "mode": "fast"\n}\n```\n'
  const [{ value } = { value: undefined }] = definitionsOf({ path: 'a.md', text })
  t.regex(wrongWith(value)[0] ?? '', /mode must be/)
})
