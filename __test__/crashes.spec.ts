// docs/crashes.md is whole: every end of a run, every error and every rule is in it, and no other.
// Each end and each error has an entry of its own, to which a link leads.
import { readFileSync } from 'node:fs'

import test from 'ava'

import { exitCodes } from '../src/cli/command.ts'
import { ruleNames } from '../src/debug/explain/rules/index.ts'
import { type EndReason, endings, exitReasons } from '../src/native/words.ts'
import { type Ending, describeEnding } from '../src/results/describe.ts'
import type { RunHit } from '../src/results/hit.ts'
import type { Where } from '../src/results/where.ts'
import { entriesOf, incomplete } from './helpers/documents/entries.ts'
import { errorCodes, managerCodes } from './helpers/documents/words.ts'
import { matches } from './helpers/snippets.ts'

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

const place: Where = {
  vcpu: 0,
  rip: 0x7c05n,
  cs: 0,
  mode: 'real',
  bytes: Uint8Array.of(0xeb, 0xfe),
}
const hit = (address: bigint): RunHit => ({ address }) as RunHit
const written = { size: 4, value: 0x2a, data: Uint8Array.of(0x2a, 0, 0, 0) } as const
const byte = { size: 1, count: 1 } as const

/** An end for each reason, as `String(result)` gets it. */
const examples: Partial<Record<EndReason, Partial<Ending>>> = {
  'exit-port': { exitCode: 7 },
  reset: { exit: { reason: 'pio-out', port: 0xcf9, ...byte, value: 6, data: Uint8Array.of(6) } },
  timeout: { where: place },
  'pio-out': { exit: { reason: 'pio-out', port: 0xe9, ...byte, value: 0x48, data: written.data } },
  'pio-in': { exit: { reason: 'pio-in', port: 0x60, ...byte } },
  'mmio-write': { exit: { reason: 'mmio-write', gpa: 0xd000_0000, ...written } },
  'mmio-read': { exit: { reason: 'mmio-read', gpa: 0xd000_0000, size: 4 } },
  fault: {
    fault: { name: '#PF', errorCode: 4, address: 0x1000n } as Ending['fault'] & object,
    where: place,
  },
  breakpoint: { hit: hit(0x1000n) },
  watchpoint: { hit: hit(0x500n) },
  step: { hit: hit(2n) },
  'instruction-limit': { hit: hit(2n) },
  hlt: { exit: { reason: 'hlt' } },
  shutdown: { exit: { reason: 'shutdown', vector: 6, registersKept: true }, where: place },
  'fail-entry': {
    exit: { reason: 'fail-entry', hardwareEntryFailureReason: 0x8000_0021n, cpu: 0 },
    where: place,
  },
  'internal-error': {
    exit: {
      reason: 'internal-error',
      suberror: 1,
      data: [],
      instructionBytes: Uint8Array.of(0x66, 0x0f, 0x6f, 0),
    },
    where: place,
  },
  debug: { exit: { reason: 'debug', exception: 1, pc: 0x1000n, dr6: 0n, dr7: 0n } },
  'system-event': { exit: { reason: 'system-event', type: 3, data: [] } },
  unknown: { exit: { reason: 'unknown', exitReason: 42, hardwareExitReason: 0n } },
}

test('each entry begins with what is printed for it', (t) => {
  const entries = entriesOf(section('How a run ended'))
  for (const reason of [...endings, ...exitReasons]) {
    const [, said = ''] = /^> (.*)$/m.exec(entries.get(reason) ?? '') ?? []
    const printed = describeEnding({ reason, exit: null, where: null, ...examples[reason] })
    t.true(matches([printed], [said]), `${reason}: ${printed}`)
  }
})

test('every exit code of the command line', (t) => {
  const rows = section('Exit codes of `vmexit`', errors).matchAll(/^\| (\d+)/gm)
  const numbers = [...rows].map(([, code]) => Number(code))
  t.deepEqual(numbers, Object.values(exitCodes))
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
