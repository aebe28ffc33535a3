// Profiles as files, from samples that are made up, and from a guest on the command line.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { Ajv } from 'ajv'
import test from 'ava'

import { Profile } from '../src/profile/profile.ts'
import type { NativeSamples } from '../src/native/seam.ts'
import { profiled } from './fixtures/profiled.ts'
import { type Ran, vmexit } from './helpers/cli.ts'
import { elfWithSymbols } from './helpers/elf-symbols.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'
import { randomBelow } from './helpers/random.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-profile-'))
test.after.always(() => rmSync(folder, { recursive: true }))

interface Made {
  vcpu?: number
  activity?: number
  cpl?: number
  cr3?: bigint
  frames?: readonly bigint[]
  times: readonly number[]
  /** Beyond those with times. */
  more?: number
}

/** As the core gives them; times are in milliseconds. */
function samplesOf(made: readonly Made[]): NativeSamples {
  const moments = made.flatMap(({ times }, stack) => times.map((at) => ({ at: at * 1e6, stack })))
  return {
    stacks: Uint32Array.from(
      made.flatMap(({ vcpu = 0, activity = 0, cpl = 0, frames = [] }) => [
        ...[vcpu, activity, 64, cpl, frames.length],
      ]),
    ),
    counts: Float64Array.from(made, ({ times, more = 0 }) => times.length + more),
    spaces: BigUint64Array.from(made, ({ cr3 = 0n }) => cr3),
    frames: BigUint64Array.from(made.flatMap(({ frames = [] }) => frames)),
    samples: Uint32Array.from(moments, ({ stack }) => stack),
    times: Float64Array.from(moments, ({ at }) => at),
    missed: 0,
    durationMs: 100,
  }
}

/** Functions of 16 bytes each. */
const namer = (address: bigint): string | undefined =>
  address < 0x100n ? `f${address >> 4n}+0x${(address & 15n).toString(16)}` : undefined
const profileOf = (made: readonly Made[]): Profile => new Profile(samplesOf(made), 100, namer)

const mixed: readonly Made[] = [
  { frames: [0x25n, 0x18n, 0x08n], times: [30, 10] },
  { frames: [0x18n, 0x08n], times: [20] },
  { vcpu: 1, activity: 1, frames: [0x30n], times: [10, 20] },
  { vcpu: 1, activity: 2, frames: [0x50n], times: [30] },
  { vcpu: 1, activity: 2, times: [], more: 2 },
  { activity: 3, times: [40], more: 3 },
]

test('a call that is the last instruction of its function is not of the next one', (t) => {
  const { functions } = profileOf([{ frames: [0x20n, 0x10n], times: [1] }])
  t.deepEqual(
    functions.map(({ name }) => name),
    ['f2', 'f0'],
  )
})

test('functions have their own samples, and those of what they called', (t) => {
  const { functions, samples } = profileOf([
    ...mixed,
    // A function that calls itself counts once.
    { frames: [0x01n, 0x02n, 0x03n], times: [50] },
  ])
  t.is(samples, 13)
  const all = Object.fromEntries(functions.map(({ name, self, total }) => [name, [self, total]]))
  t.deepEqual(all, {
    f0: [1, 4],
    f1: [1, 3],
    f2: [2, 2],
    f3: [0, 2],
    f4: [0, 1],
    '(halted)': [2, 2],
    '(waiting)': [3, 3],
    '(unlisted)': [4, 4],
  })
})

test('folded text has a line for each stack, and all samples', (t) => {
  const lines = profileOf(mixed).encode('folded').trim().split('\n')
  t.deepEqual(lines, [
    'vcpu0;f0;f1;f2 2',
    'vcpu0;f0;f1 1',
    'vcpu1;f3;(halted) 2',
    'vcpu1;f4;(waiting) 1',
    'vcpu1;(waiting) 2',
    'vcpu0;(unlisted) 4',
  ])
  t.is(profileOf(mixed.slice(0, 1)).encode('folded'), 'f0;f1;f2 2\n')
  t.is(profileOf([]).encode('folded'), '')
})

test('ring 3 of several address spaces is told apart, that of one is not', (t) => {
  const of = (cr3s: readonly bigint[]): string[] =>
    profileOf(cr3s.map((cr3) => ({ cpl: 3, cr3, frames: [0x101n], times: [1] })))
      .encode('folded')
      .trim()
      .split('\n')
  t.deepEqual(of([0x1000n]), ['0x101 1'])
  t.deepEqual(of([0x1000n, 0x2000n]), ['(space_0x1000);0x101 1', '(space_0x2000);0x101 1'])
})

const require = createRequire(import.meta.url)
const published = JSON.parse(
  readFileSync(require.resolve('speedscope/dist/release/file-format-schema.json'), 'utf8'),
) as object
const isSpeedscope = new Ajv({ strict: false }).compile(published)

interface Speedscope {
  shared: { frames: { name: string }[] }
  profiles: {
    name: string
    startValue: number
    endValue: number
    samples: number[][]
    weights: number[]
  }[]
}

function speedscopeOf(profile: Profile): Speedscope {
  return JSON.parse(profile.encode('speedscope')) as Speedscope
}

test('speedscope files are as the published schema says, and have all samples', (t) => {
  const file = speedscopeOf(profileOf(mixed))
  t.true(isSpeedscope(file), JSON.stringify(isSpeedscope.errors))
  t.false(isSpeedscope({ ...file, shared: {} }))
  t.deepEqual(
    file.profiles.map(({ name }) => name),
    ['vCPU 0', 'vCPU 1'],
  )
  const [first, second] = file.profiles
  const names = (samples: number[][]): string[] =>
    samples.map((sample) => sample.map((frame) => file.shared.frames[frame]!.name).join(' '))
  t.deepEqual(names(first!.samples), ['f0 f1 f2', 'f0 f1', 'f0 f1 f2', '(unlisted)', '(unlisted)'])
  t.deepEqual(first!.weights, [10, 10, 10, 10, 30])
  t.deepEqual(second!.weights, [10, 10, 10, 20])
  t.is(second!.endValue, 50)
  t.true(isSpeedscope(speedscopeOf(profileOf([]))))
})

interface Cpuprofile {
  nodes: { id: number; callFrame: { functionName: string }; hitCount: number; children: number[] }[]
  startTime: number
  endTime: number
  samples: number[]
  timeDeltas: number[]
}

function cpuprofileOf(profile: Profile): Cpuprofile {
  return JSON.parse(profile.encode('cpuprofile')) as Cpuprofile
}

/** What the DevTools protocol says of a profile; nothing if it is one. */
function* problemsOf({ nodes, samples, timeDeltas, startTime, endTime }: Cpuprofile) {
  const ids = new Set(nodes.map(({ id }) => id))
  if (ids.size !== nodes.length) yield 'an id is not unique'
  const children = nodes.flatMap((node) => node.children)
  if (children.some((child) => !ids.has(child))) yield 'a child is no node'
  // A tree below one root.
  if (new Set(children).size !== children.length) yield 'a node has two parents'
  if (children.length !== nodes.length - 1) yield 'there are several roots'
  if (nodes[0]?.callFrame.functionName !== '(root)') yield 'the first node is no root'
  if (samples.some((sample) => !ids.has(sample))) yield 'a sample is no node'
  if (samples.length !== timeDeltas.length) yield 'samples and their times differ in number'
  if (timeDeltas.some((delta) => !Number.isInteger(delta) || delta < 0)) yield 'time goes back'
  const last = timeDeltas.reduce((sum, delta) => sum + delta, startTime)
  if (last > endTime) yield 'the end is before the last sample'
}

test('.cpuprofile files are as the DevTools protocol says', (t) => {
  const file = cpuprofileOf(profileOf(mixed))
  t.deepEqual([...problemsOf(file)], [])
  t.deepEqual([...problemsOf(cpuprofileOf(profileOf([])))], [])
  const nameOf = (id: number): string =>
    file.nodes.find((node) => node.id === id)!.callFrame.functionName
  // The vCPUs of one moment have its time in halves.
  const shown = file.samples.map((id) => nameOf(id))
  t.deepEqual(shown, ['f2', '(idle)', 'f1', '(idle)', 'f2', '(waiting)', '(unlisted)'])
  t.deepEqual(file.timeDeltas, [10_000, 5000, 5000, 5000, 5000, 5000, 5000])
  const [root] = file.nodes
  t.deepEqual(
    root!.children.map((id) => nameOf(id)),
    ['(vCPU 0)', '(idle)', '(vCPU 1)', '(unlisted)'],
  )
  t.is(
    file.nodes.reduce((sum, { hitCount }) => sum + hitCount, 0),
    12,
  )
})

test('profiles of any samples are sound in every format', (t) => {
  const below = randomBelow(19)
  for (let round = 0; round < 200; round++) {
    const made = Array.from({ length: below(20) }, () => ({
      vcpu: below(3),
      activity: below(4),
      cpl: below(4),
      cr3: BigInt(below(3)),
      frames: Array.from({ length: below(5) }, () => BigInt(below(0x200))),
      times: Array.from({ length: below(4) }, () => below(10) * 10),
      more: below(2),
    }))
    const profile = profileOf(made)
    t.deepEqual([...problemsOf(cpuprofileOf(profile))], [])
    const file = speedscopeOf(profile)
    t.true(isSpeedscope(file), JSON.stringify(isSpeedscope.errors))
    const weights = file.profiles.flatMap((one) => one.weights)
    t.is(Math.round(weights.reduce((sum, one) => sum + one, 0)), profile.samples * 10)
    const lines = profile.encode('folded').split('\n').slice(0, -1)
    const counts = lines.map((line) => Number(/^\S+ (\d+)$/.exec(line)?.[1]))
    t.is(
      counts.reduce((sum, one) => sum + one, 0),
      profile.samples,
    )
    t.regex(String(profile), /^\d+ samples/)
  }
})

test('the end of its name, or an option, says how a file is written', async (t) => {
  const profile = profileOf(mixed)
  const at = (name: string): string => join(folder, name)
  const text = (name: string): string => readFileSync(at(name), 'utf8')
  for (const name of ['a.cpuprofile', 'a.speedscope.json', 'a.folded', 'a.txt'])
    await profile.save(at(name))
  t.is(text('a.cpuprofile'), profile.encode('cpuprofile'))
  t.is(text('a.speedscope.json'), profile.encode('speedscope'))
  t.is(text('a.folded'), profile.encode('folded'))
  t.is(text('a.txt'), profile.encode('folded'))
  await profile.save(pathToFileURL(at('b')), { format: 'folded' })
  t.is(text('b'), profile.encode('folded'))
  const refuses = (path: string, options?: object): Promise<unknown> =>
    t.throwsAsync(profile.save(path, options), vmError('ERR_INVALID_OPTION'))
  await refuses(at('a.json'))
  await refuses(at('a.folded'), { format: 'svg' })
  await refuses(at('a.folded'), { kind: 'folded' })
  t.throws(() => profile.encode('toString' as 'folded'), vmError('ERR_INVALID_OPTION'))
  await t.throwsAsync(profile.save(at('none/a.folded')), { code: 'ENOENT' })
})

/**
 * Runs a guest for so long that its profile has samples: for a second, or longer where the host
 * gave it no processor then.
 */
async function sampled(args: readonly string[], has: (ran: Ran) => boolean): Promise<Ran> {
  for (let seconds = 1; ; seconds *= 4) {
    const ran = await vmexit([...args, '--timeout', `${seconds}s`])
    if (has(ran) || seconds > 60) return ran
  }
}

kvmTest('run --profile writes a file, and says where the guest spends its time', async (t) => {
  const { code, symbols } = profiled(64)
  const image = join(folder, 'guest.elf')
  writeFileSync(image, elfWithSymbols(64, code, symbols))
  const file = join(folder, 'guest.cpuprofile')
  const run = ['run', image, '--profile']
  const isHot = ({ stderr }: Ran): boolean => /% {2}hot\n/.test(stderr)
  const { stderr, code: exitCode } = await sampled([...run, file], isHot)
  t.is(exitCode, 124)
  t.regex(stderr, /guest\.cpuprofile: \d+ samples at 99 Hz/)
  t.regex(stderr, /% {2}hot\n/)
  t.deepEqual([...problemsOf(JSON.parse(readFileSync(file, 'utf8')) as Cpuprofile)], [])
  const scope = join(folder, 'guest.speedscope.json')
  interface Told {
    profile: { file: string; samples: number; functions: { name: string }[] }
  }
  const tells = ({ stdout }: Ran): Told => JSON.parse(String(stdout)) as Told
  const namesHot = (ran: Ran): boolean =>
    tells(ran).profile.functions.some(({ name }) => name === 'hot')
  const { profile } = tells(await sampled([...run, scope, '--json'], namesHot))
  t.true(isSpeedscope(JSON.parse(readFileSync(scope, 'utf8'))))
  t.is(profile.file, scope)
  t.true(profile.samples > 0)
  t.true(profile.functions.some(({ name }) => name === 'hot'))
})

kvmTest(
  'run --profile takes names from another image, and refuses what it cannot do',
  async (t) => {
    const { code, symbols } = profiled(64)
    const [image, names] = [join(folder, 'flat.bin'), join(folder, 'names.elf')]
    writeFileSync(image, code)
    writeFileSync(names, elfWithSymbols(64, code, symbols))
    const run = ['run', image, '--mode', 'long', '--load', '0x100000']
    const file = join(folder, 'flat.folded')
    const stack = /^main;outer;hot \d+$/m
    const args = [...run, '--profile', file, '--symbols', names]
    await sampled(args, () => stack.test(readFileSync(file, 'utf8')))
    t.regex(readFileSync(file, 'utf8'), stack)
    for (const [more, message] of [
      [['--profile', 'a.svg'], /--profile FILE must end in \.cpuprofile, /],
      [['--symbols', names], /--symbols names the functions of --profile/],
      [['--profile', file, '--symbols', join(folder, 'none')], /cannot read the symbols: /],
      [['--profile', join(folder, 'none/a.txt')], /cannot write the profile: /],
    ] as const) {
      const { code: exitCode, stderr } = await vmexit([...run, '--timeout', '1s', ...more])
      t.is(exitCode, 2)
      t.regex(stderr, message)
    }
  },
)
