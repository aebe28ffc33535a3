// docs/crashes.md is whole: every end of a run, every error and every rule is in it, and no other.
import { readFileSync } from 'node:fs'

import test from 'ava'

import { ruleNames } from '../src/debug/explain/rules/index.ts'
import { endings, exitReasons } from '../src/native/words.ts'

const page = readFileSync('docs/crashes.md', 'utf8')

/** What the first cells of the tables under a heading name. */
function named(heading: string): string[] {
  const section = page.split(/^(?=## )/m).find((text) => text.startsWith(`## ${heading}\n`)) ?? ''
  const cells = [...section.matchAll(/^\| (`[^|]+) \|/gm)].map(([, cell = '']) => cell)
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
}

test('every reason for which a run ends', (t) => {
  t.deepEqual(named('How a run ended').toSorted(), [...endings, ...exitReasons].toSorted())
})

test('every code of an error', (t) => {
  const seam = readFileSync('index.d.ts', 'utf8')
  const union = /type NativeErrorCode =([^;\n]*(?:\n[^;\n]*'ERR_[^;\n]*)*)/.exec(seam)?.[1] ?? ''
  const codes = union.match(/ERR_\w+/g) ?? []
  t.true(codes.length > 10)
  t.deepEqual(named('When a call fails').toSorted(), codes.toSorted())
})

test('every rule', (t) => {
  t.deepEqual(named('Rules').toSorted(), [...ruleNames].toSorted())
})
