import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'

import { VmError } from '../../../src/index.ts'
import { check } from '../../../src/definition/check.ts'
import { machineRule } from '../../../src/definition/table.ts'
import { canonicalJson, checkDefinition, parseProject } from '../src/definition/index.ts'
import { parseRecord } from '../src/store/record.ts'
import { ManagerError } from '../src/supervisor/errors.ts'
import { randomDefinition, randomOf } from './helpers/random-definition.ts'

const steps = Number(process.env['VMEXIT_FUZZ_STEPS'] ?? 10_000)
const seed = Number(process.env['VMEXIT_FUZZ_SEED'] ?? 1) || 1

/** Each key and word that the schema knows, which chance alone would not find. */
const words = [
  ...new Set(
    readFileSync(join(import.meta.dirname, '../../../machine.schema.json'), 'utf8').match(
      /(?<=")[A-Za-z$]\w*(?=")/g,
    ),
  ),
  ...['autostart', 'restart', 'group', 'limits', 'vnc', 'password', 'memoryBytes', 'always'],
  ...['__proto__', 'constructor', 'toString', '../x', '\0', '', 'x'.repeat(64), '0x', '0x1000'],
]

const hello = { name: 'a', payload: { guest: 'hello' } }

function randomJson(random: () => number, depth = 0): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const size = (): number => Math.floor(random() * 4)
  const kind = random()
  if (depth < 4 && kind < 0.2)
    return Array.from({ length: size() }, () => randomJson(random, depth + 1))
  if (depth < 4 && kind < 0.5)
    return Object.fromEntries(
      Array.from({ length: size() }, () => [pick(words), randomJson(random, depth + 1)]),
    )
  if (kind < 0.7) return pick(words)
  return pick([0, -0, 1, -1, 1.5, 4096, 65_536, 2 ** 53, 1e300, null, true, false])
}

/** Puts a value in some place of another one, or takes one out. */
function mutated(random: () => number, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || random() < 0.15) return randomJson(random)
  const entries = Object.entries(value)
  const at = Math.floor(random() * (entries.length + 1))
  const [key, member] = entries[at] ?? [words[Math.floor(random() * words.length)]!, undefined]
  if (random() < 0.2) entries.splice(at, 1)
  else entries[at] = [key, mutated(random, member)]
  return Array.isArray(value) ? entries.map(([, each]) => each) : Object.fromEntries(entries)
}

/** What a check throws that is not as promised. */
function wrong(call: () => unknown): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error instanceof ManagerError && error.message.length < 10_000 ? undefined : error
  }
}

test('whatever JSON it is given, the check of a definition throws its own errors only', (t) => {
  const random = randomOf(seed)
  let accepted = 0
  for (let step = 0; step < steps; step++) {
    const start = random() < 0.5 ? { ...randomDefinition(random), name: 'a' } : hello
    let value: unknown = random() < 0.1 ? randomJson(random) : start
    for (let times = Math.floor(random() * 4); times > 0; times--) value = mutated(random, value)
    const options = {
      from: (['local', 'tcp', 'xml'] as const)[step % 3]!,
      ...(step % 2 === 0 && { base: '/base' }),
      ...(step % 5 === 0 && { modules: '/tmp' }),
    }
    const call = (): unknown => {
      const checked = checkDefinition(value, options)
      accepted++
      // What was accepted is accepted again, and so is its text.
      const text = canonicalJson(checked)
      t.is(canonicalJson(checkDefinition(JSON.parse(text), { from: 'local' })), text)
      return checked
    }
    t.is(wrong(call), undefined, `step ${step} of seed ${seed}: ${JSON.stringify(value)}`)
    t.is(
      wrong(() => parseProject({ machines: value }, '/')),
      undefined,
    )
    t.is(
      wrong(() => parseProject(value, '/')),
      undefined,
    )
  }
  t.log(`${accepted} of ${steps} were accepted`)
  t.true(accepted > steps / 20)
  t.true(accepted < steps)
})

test('the form that it accepts is what the core accepts', (t) => {
  const random = randomOf(seed + 1)
  const seen = { both: 0, neither: 0 }
  for (let step = 0; step < steps; step++) {
    let value: object = { ...randomDefinition(random), name: 'a', manager: undefined }
    for (let times = Math.floor(random() * 3); times > 0; times--)
      value = { ...(mutated(random, value) as object), name: 'a', manager: undefined }
    const ours = verdict(() => checkDefinition(value, { from: 'local', base: '/' }))
    const core = verdict(() => check(machineRule, JSON.parse(JSON.stringify(value)), ''))
    // The core tells of ranges and of what needs what when it makes the machine.
    const isMeaning =
      core === undefined && /multiple|from \d+ to|at most 3|pc true|mode is long/.test(ours ?? '')
    if (isMeaning) continue
    t.is(ours === undefined, core === undefined, `${ours} | ${core} | ${JSON.stringify(value)}`)
    seen[ours === undefined ? 'both' : 'neither']++
  }
  t.log(`${seen.both} accepted, ${seen.neither} refused`)
  t.true(seen.both > steps / 20 && seen.neither > steps / 20)
})

function verdict(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    if (error instanceof ManagerError || error instanceof VmError) return error.message
    throw error
  }
}

test('canonical JSON is the same JSON, whatever the order of its keys', (t) => {
  const random = randomOf(seed + 2)
  for (let step = 0; step < steps; step++) {
    const value = randomJson(random)
    const text = canonicalJson(value)
    // JSON has no -0.
    t.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    t.is(canonicalJson(JSON.parse(text)), text)
    t.is(canonicalJson(shuffled(random, value)), text)
  }
})

function shuffled(random: () => number, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => shuffled(random, each))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
    .map(([key, each]) => ({ key, each: shuffled(random, each), at: random() }))
    .toSorted((a, b) => a.at - b.at)
  return Object.fromEntries(entries.map(({ key, each }) => [key, each]))
}

test('whatever a machine.json holds, it is a machine or an error', (t) => {
  const random = randomOf(seed + 3)
  const whole = {
    version: 1,
    name: 'a',
    uuid: '5d8c0a3e-0000-4000-8000-000000000000',
    autostart: false,
    persistent: true,
    definition: hello,
    xml: '<a/>',
  }
  t.deepEqual(parseRecord(canonicalJson(whole), 'a') as unknown, whole)
  let accepted = 0
  for (let step = 0; step < steps; step++) {
    let text = JSON.stringify(mutated(random, whole)) ?? ''
    if (random() < 0.3) text = text.slice(0, random() * text.length)
    try {
      const record = parseRecord(text, 'a')
      t.deepEqual(parseRecord(canonicalJson(record), 'a'), record)
      accepted++
    } catch (error) {
      t.true(error instanceof Error && !(error instanceof TypeError), `${text}: ${String(error)}`)
    }
  }
  t.true(accepted > 0 && accepted < steps)
})
