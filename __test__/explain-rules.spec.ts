// Each rule alone, over ends of runs that are made up: no KVM is needed.
import test from 'ava'

import { explainScene } from '../src/debug/explain/explain.ts'
import { ruleNames } from '../src/debug/explain/rules/index.ts'
import type { Finding } from '../src/results/autopsy.ts'
import { type Given, gate, scene, special } from './helpers/scene.ts'

const findingsOf = (given: Given): readonly Finding[] =>
  explainScene(scene(given), 'it ended').findings

const pf = { reason: 'fault', exit: null, vector: 14 } as const
const ring3 = { cs: { ...special.cs, selector: 0x23, dpl: 3 } }
const wide = 0x8000_0000_0000n

/** What breaks one thing, and the rule that shall find it. */
const broken: [rule: string, about: string, given: Given][] = [
  ['idt-missing', 'no IDT', { special: { idt: { base: 0n, limit: 0 } } }],
  [
    'idt-missing',
    'an IDT where no memory is',
    { special: { idt: { base: 1n << 30n, limit: 0xfff } } },
  ],
  ['idt-missing', 'an IDT too short', { special: { idt: { base: 0x3000n, limit: 0x5f } } }],
  ['idt-gate-not-present', 'P = 0', { memory: { 0x3060: gate('08 00 00 0e') } }],
  ['idt-gate-type', 'a call gate', { memory: { 0x3060: gate('08 00 00 8c') } }],
  [
    'idt-handler',
    'a handler outside memory',
    { memory: { 0x3060: `${gate().slice(0, 18)} 00 70` } },
  ],
  ['gdt-selector', 'the null selector', { memory: { 0x3060: gate('00 00 00 8e') } }],
  ['gdt-selector', 'a selector beyond the GDT', { memory: { 0x3060: gate('28 00 00 8e') } }],
  ['gdt-selector', 'a data segment', { memory: { 0x3060: gate('10 00 00 8e') } }],
  ['gdt-selector', 'an error code that names one', { ...pf, vector: 11, errorCode: 0x18 }],
  ['stack-unmapped', 'no page', { pages: { 0x7000: { miss: 'not-present' } } }],
  ['stack-unmapped', 'a read-only page', { pages: { 0x7000: { writable: false } } }],
  ['stack-unmapped', 'no memory', { registers: { rsp: 1n << 30n } }],
  [
    'stack-unmapped',
    'a push that faults',
    { ...pf, address: 0x7ff8n, pages: { 0x7000: { miss: 'not-present' } } },
  ],
  ['stack-wild', 'RSP that is not canonical', { registers: { rsp: wide } }],
  ['tss-rsp0', 'RSP0 is 0', { special: ring3 }],
  ['tss-rsp0', 'a TSS too short', { special: { ...ring3, tr: { ...special.tr, limit: 8 } } }],
  ['tss-rsp0', 'IST 3 is 0', { memory: { 0x3060: gate('08 00 03 8e') } }],
  ['stack-over-tables', 'RSP in a table', { registers: { rsp: 0x1_0010n } }],
  [
    'page-1gib',
    'a page of 1 GiB',
    { ...pf, address: 0x9000n, pages: { 0x9000: { miss: 'no-gigabyte-page' } } },
  ],
  [
    'page-reserved-bit',
    'by the walk',
    { ...pf, address: 0x9000n, pages: { 0x9000: { miss: 'reserved' } } },
  ],
  ['page-reserved-bit', 'by the error code', { ...pf, address: 0x9000n, errorCode: 9 }],
  [
    'page-no-execute',
    'a fetch',
    { ...pf, address: 0x1000n, errorCode: 17, pages: { 0x1000: { executable: false } } },
  ],
  [
    'page-not-present',
    'a hole',
    { ...pf, address: 0x9000n, errorCode: 0, pages: { 0x9000: { miss: 'not-present' } } },
  ],
  [
    'page-not-present',
    'a table outside memory',
    { ...pf, address: 0x9000n, pages: { 0x9000: { miss: 'no-memory' } } },
  ],
  [
    'page-protection',
    'ring 3 in a page of ring 0',
    { ...pf, special: ring3, address: 0x9000n, errorCode: 5, pages: { 0x9000: { user: false } } },
  ],
  [
    'page-protection',
    'a write',
    { ...pf, address: 0x9000n, errorCode: 3, pages: { 0x9000: { writable: false } } },
  ],
  ['non-canonical', 'an operand', { vector: 13, operand: wide }],
  ['non-canonical', 'a jump', { vector: 13, code: 'ff e0', registers: { rax: wide } }],
  ['non-canonical', 'a jump by R9', { vector: 13, code: '41 ff e1', registers: { r9: wide } }],
  [
    'non-canonical',
    'a return',
    { vector: 13, code: 'c3', memory: { 0x8000: '00 00 00 00 00 80 00 00' } },
  ],
  ['cs-l-and-d', 'CS', { reason: 'fail-entry', special: { cs: { ...special.cs, db: 1 } } }],
  [
    'cs-l-and-d',
    'a far jump',
    { ...pf, vector: 13, errorCode: 8, memory: { 0x4008: 'ff ff 00 00 00 9b ef 00' } },
  ],
  ['lme-without-pae', 'as it is', { special: { cr4: 0n } }],
  [
    'lme-without-pae',
    'mov cr0, eax',
    {
      vector: 13,
      code: '0f 22 c0',
      registers: { rax: 0x8000_0001n },
      special: { cr0: 1n, cr4: 0n, efer: 0x100n, cs: { ...special.cs, l: 0, db: 1 } },
    },
  ],
  [
    'pg-without-pe',
    'mov cr0, ebx',
    {
      mode: 'real',
      vector: 13,
      code: '0f 22 c3',
      registers: { rbx: 0x8000_0000n },
      special: { cr0: 0x10n, efer: 0n },
    },
  ],
  ['port-denied', 'no bitmap', { vector: 13, code: 'e6 10', special: ring3 }],
  [
    'port-denied',
    'a bit',
    {
      vector: 13,
      code: 'ee',
      registers: { rdx: 0x10n },
      special: { ...ring3, tr: { ...special.tr, limit: 0x2068 } },
      memory: { 0x5066: '68 00 00 00 01' },
    },
  ],
  ['sse-off', 'CR4.OSFXSR', { code: '0f 28 c1' }],
  ['sse-off', 'CR0.TS with x87', { vector: 7, code: 'd9 e8', special: { cr0: 0x8001_003bn } }],
  ['sse-off', 'AVX', { code: 'c5 f8 28 c1', special: { cr4: 0x620n } }],
  ['mode-unsupported', 'paged32', { mode: 'paged32', backend: 'kvm_pvm', vector: null }],
  [
    'code-ran-off',
    'zeros',
    { reason: 'timeout', exit: null, code: '00 00 00', registers: { rip: 0x1500n } },
  ],
  ['code-ran-off', 'the end of memory', { code: '', registers: { rip: 0x10_0000n } }],
  [
    'jump-nowhere',
    'no page',
    { code: '', registers: { rip: 0x9000n }, pages: { 0x9000: { miss: 'not-present' } } },
  ],
  [
    'bios-missing',
    'by the frame on the stack',
    {
      reason: 'timeout',
      mode: 'real',
      code: '00 00',
      special: { cr0: 0x10n, efer: 0n },
      memory: { 0x8000: '02 20 00 00 02 00', 0x2000: 'cd 10' },
    },
  ],
  [
    'bios-missing',
    'at the instruction',
    {
      mode: 'real',
      registers: { rip: 0x2000n },
      code: 'cd 13',
      special: { cr0: 0x10n, efer: 0n, cs: { ...special.cs, selector: 0 } },
      memory: { 0x2000: 'cd 13' },
    },
  ],
  [
    'not-emulated',
    'an internal error',
    {
      reason: 'internal-error',
      exit: {
        reason: 'internal-error',
        suberror: 1,
        data: [],
        instructionBytes: new Uint8Array(0),
      },
      vector: null,
      code: '48 cf',
    },
  ],
  [
    'unclaimed',
    'a port',
    { reason: 'pio-in', exit: { reason: 'pio-in', port: 0x60, size: 1, count: 1 }, vector: null },
  ],
  [
    'unclaimed',
    'an address',
    { reason: 'mmio-read', exit: { reason: 'mmio-read', gpa: 1 << 30, size: 4 }, vector: null },
  ],
  ['registers-lost', 'a vCPU that was reset', { registersKept: false, vector: null }],
  [
    'replay-failed',
    'a replay with another end',
    { registersKept: false, vector: null, notes: ["the replay ended with 'hlt'"] },
  ],
  ['triple-fault', 'no vector', { vector: null }],
]

for (const [rule, about, given] of broken) {
  test(`${rule}: ${about}`, (t) => {
    const findings = findingsOf(given)
    t.true(
      findings.some((finding) => finding.rule === rule),
      JSON.stringify(findings),
    )
    for (const { found, wanted, manual } of findings) {
      t.notRegex(`${found} ${wanted} ${manual}`, /undefined|NaN|null:/)
      t.true(found !== '' && wanted !== '' && manual !== '')
    }
  })
}

test('an interrupt is named where one was possible', (t) => {
  const ends = [2n, 0x202n].map((rflags) => findingsOf({ vector: null, registers: { rflags } }))
  const texts = ends.map((findings) => findings.find(({ rule }) => rule === 'triple-fault')?.found)
  t.deepEqual(
    texts.map((text) => text?.includes('an interrupt')),
    [false, true],
  )
  // After power-on a vCPU is in real mode, whatever it was in.
  const lost = { vector: null, registersKept: false, mode: 'long' } as const
  const reset = { ...lost, special: { cr0: 0x6000_0010n } }
  const [found] = findingsOf(reset).filter(({ rule }) => rule === 'triple-fault')
  t.regex(`${found?.found} ${found?.wanted}`, /an interrupt,.*an IDT with a gate/)
})

test('every rule is broken once here, and each vector has one', (t) => {
  const vectors = Array.from({ length: 32 }, (_, vector) => findingsOf({ vector }))
  for (const [vector, findings] of vectors.entries())
    t.true(
      findings.some(({ found }) => found.startsWith(`vector ${vector}, #`)),
      String(vector),
    )
  const ofVectors = vectors.flat().map(({ rule }) => rule)
  const found = new Set([...broken.map(([rule]) => rule), ...ofVectors])
  t.deepEqual([...found].toSorted(), [...ruleNames].toSorted())
})

test('nothing is said of what is not broken', (t) => {
  for (const reason of ['hlt', 'exit-port', 'power-off', 'reset', 'stopped', 'timeout'])
    t.deepEqual(findingsOf({ reason, exit: null, vector: null }), [])
  // All is sound but the instruction itself.
  t.deepEqual(
    findingsOf({ reason: 'fault', exit: null }).map(({ rule }) => rule),
    ['vector-ud'],
  )
  t.deepEqual(
    findingsOf({}).map(({ rule }) => rule),
    ['vector-ud'],
  )
})

test('an entry that is not present has no reserved bit, whatever the error code says', (t) => {
  const pages = { 0x9000: { miss: 'not-present' } } as const
  const rules = findingsOf({ ...pf, address: 0x9000n, errorCode: 13, pages }).map(
    ({ rule }) => rule,
  )
  t.true(rules.includes('page-not-present'))
  t.false(rules.includes('page-reserved-bit'))
})

test('an int3 or an int 4 at the end of the code has not run off it', (t) => {
  for (const [vector, rule] of [
    [3, 'vector-bp'],
    [4, 'vector-of'],
  ] as const) {
    const given = { reason: 'fault', exit: null, vector, code: '00 00 00' }
    t.deepEqual(
      findingsOf(given).map((found) => found.rule),
      [rule],
    )
  }
})

test('the text has the end, the instruction with its registers, the findings and the walk', (t) => {
  const text = String(
    explainScene(
      scene({
        ...pf,
        errorCode: 2,
        address: 0x9008n,
        instruction: {
          address: 0x1000n,
          bytes: Uint8Array.of(0x89, 0x43, 8),
          text: 'mov [rbx+8],eax',
        },
        registers: { rbx: 0x9000n, rax: 7n },
        pages: { 0x9000: { miss: 'not-present' } },
      }),
      'it ended',
    ),
  )
  t.deepEqual(text.split('\n'), [
    'it ended',
    '  at 0x1000: 894308  mov [rbx+8],eax',
    '     with rbx 0x9000, rax 0x7',
    '  page-not-present: 0x9008: the PT entry 0x900f at gpa 0x13000 is not present',
    '     wanted: a mapped address (SDM 3A §5.7)',
    '  vector-pf: vector 14, #PF: an address whose page is absent, or forbids the access, error code 0x2 (a write, no page), address 0x9008',
    '     wanted: no such exception, or a handler for it (SDM 3A §7.15)',
    '  page walk of 0x9008',
    '     PT   0x13000: 0x900f (not present)',
    '     ends at PT: not-present',
  ])
})

test('whatever is in registers and memory, a crash is explained', (t) => {
  let state = 20_261n
  const random = (): bigint => (state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695n))
  // Of any size, and often near what is there.
  const any = (): bigint => random() >> (random() >> 58n)
  const values = { ...special, ...scene().registers }
  for (let round = 0; round < 1000; round++) {
    const words = Object.keys(values).map((name) => [name, any()] as const)
    const table = () => ({ base: any(), limit: Number(any() & 0xffffn) })
    const segment = () => ({ ...special.cs, base: any(), selector: Number(any() & 0xffffn) })
    const flags = { l: Number(random() >> 63n), db: Number(random() >> 63n) }
    const own = { cs: { ...segment(), ...flags }, ss: segment(), tr: segment() }
    const bytes = Array.from({ length: 15 }, () => (random() >> 56n).toString(16).padStart(2, '0'))
    const given = {
      reason: round % 2 === 0 ? 'fault' : 'shutdown',
      vector: Number(random() >> 59n),
      errorCode: Number(any() & 0xffff_ffffn),
      address: any(),
      registers: Object.fromEntries(words),
      special: { ...Object.fromEntries(words), ...own, gdt: table(), idt: table() },
      code: bytes.join(' '),
    } as Given
    const autopsy = explainScene(scene(given), 'it ended')
    t.true(autopsy.findings.length > 0 && String(autopsy).length < 10_000)
  }
})
