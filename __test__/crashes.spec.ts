// docs/crashes.md is whole: every end of a run, every error and every rule is in it, and no other.
// Each end and each error has an entry of its own, to which a link leads.
import { readFileSync } from 'node:fs'

import test from 'ava'

import { ruleNames } from '../src/debug/explain/rules/index.ts'
import { endings, exitReasons } from '../src/native/words.ts'
import { entriesOf, incomplete } from './helpers/documents/entries.ts'
import { errorCodes, managerCodes } from './helpers/documents/words.ts'

const page = readFileSync('docs/crashes.md', 'utf8')
const errors = readFileSync('docs/errors.md', 'utf8')
const reasons: readonly string[] = [...endings, ...exitReasons]

/** The text under a heading of the second level. */
const section = (heading: string, text = page): string =>
  text.split(/^(?=## )/m).find((each) => each.startsWith(`## ${heading}\n`)) ?? ''

/** What the first cells of the tables under a heading name. */
function named(heading: string): string[] {
  const cells = [...section(heading).matchAll(/^\| (\[?`[^|]+) \|/gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
}

/** Where the first cells of those tables lead. */
const leadsTo = (heading: string): string[] =>
  [...section(heading).matchAll(/^\|.*?\]\(([^)]+)\).*$/gm)].map(([, link = '']) => link)

test('every reason for which a run ends', (t) => {
  t.deepEqual(named('How a run ended').toSorted(), reasons.toSorted())
  t.deepEqual(leadsTo('How a run ended').toSorted(), reasons.map((name) => `#${name}`).toSorted())
  const entries = entriesOf(section('How a run ended'))
  t.deepEqual([...entries.keys()].toSorted(), reasons.toSorted())
  t.deepEqual(incomplete(entries), [])
})

test('every code of an error', (t) => {
  t.true(errorCodes.length > 10)
  t.deepEqual(named('When a call fails').toSorted(), errorCodes.toSorted())
  t.deepEqual(
    leadsTo('When a call fails').toSorted(),
    errorCodes.map((code) => `errors.md#${code.toLowerCase()}`).toSorted(),
  )
  const entries = entriesOf(section('Codes of `VmError`', errors))
  t.deepEqual([...entries.keys()], [...errorCodes])
  t.deepEqual(incomplete(entries), [])
})

test('every code of an error of the manager', (t) => {
  t.true(managerCodes.length > 10)
  const rows = section('Codes of `ManagerError`', errors).matchAll(/^\| `(\w+)`/gm)
  t.deepEqual(
    [...rows].map(([, code]) => code),
    [...managerCodes],
  )
})

test('every rule', (t) => {
  t.deepEqual(named('Rules').toSorted(), [...ruleNames].toSorted())
})

test('an entry that lacks something is found', (t) => {
  const whole = '### `a`\n\nIt is.\n\n- **Causes.** One.\n- **What to do.** Run on.\n'
  const entries = entriesOf(`${whole}### \`b\`\n\n- **Causes.** Two.\n\n### c\n\nNo entry.\n`)
  t.deepEqual([...entries.keys()], ['a', 'b'])
  t.deepEqual(incomplete(entries), ['b: it does not say what it means', 'b: no **What to do.**'])
})
