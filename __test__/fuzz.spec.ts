// Random guests, calls and images for some seconds each, what they have found before, and whether
// they would find something.
import { readdirSync } from 'node:fs'

import test from 'ava'

import { ended } from './fixtures/child.ts'
import { kvmTest } from './helpers/kvm.ts'
import { affordable } from './helpers/speed.ts'

/** For each fuzzer; hours by `npm run fuzz`. */
const seconds = process.env['VMEXIT_FUZZ_SECONDS'] ?? (process.env['CI'] ? '30' : '5')

const fuzz = ['scripts/fuzz/main.mjs']
const kept = new URL('fixtures/fuzz/', import.meta.url)

const subjects = {
  guests: 'whatever a guest does, its run ends in time and for a known reason',
  api: 'whatever is called in whatever order, it returns in time or fails with a VmError',
  images: 'whatever an image holds, it is loaded or refused within a second',
  faults: 'whatever ring 3 does about the trap table, a fault is reported where there is one',
  gdb: 'whatever a client of gdb says, the next one is served, and the machine is unharmed',
  rfb: 'whatever a viewer of a screen says, it harms nobody else, and the next one is served',
}

/** Which fuzzers do not hunt on an emulated processor, and why. */
const notEmulated: Record<string, string> = {
  guests: 'random guests end the emulator itself by an assertion of its own',
  rfb: 'threads that start late, on a slow processor, look like a leak',
  images: 'threads that start late, on a slow processor, look like a leak',
}

/** Where a random guest may hang the emulator itself: a seed by which none does. */
const seeds: Record<string, string[]> = {
  gdb: affordable(10) < 10 ? ['--seed', '0e934a9e5422d87ba6df7332a9d8f8515181c495'] : [],
}

for (const [fuzzer, title] of Object.entries(subjects)) {
  kvmTest(title, async (t) => {
    const reason = notEmulated[fuzzer]
    if (reason !== undefined && affordable(10) < 10) {
      t.log(`skipped: ${reason}`)
      t.pass()
      return
    }
    t.timeout(1_200_000)
    const { code, output } = await ended([
      ...fuzz,
      fuzzer,
      '--seconds',
      seconds,
      ...(seeds[fuzzer] ?? []),
    ])
    t.log(output.trimEnd())
    t.is(code, 0)
    t.regex(output, /: [1-9]\d* steps, 0 findings, seed \S/)
  })
}

for (const name of readdirSync(kept)) {
  kvmTest(`what was found once: ${name.replace(/\.json$/, '')}`, async (t) => {
    t.timeout(600_000)
    const { code, output } = await ended([...fuzz, '--task', new URL(name, kept).pathname])
    t.is(code, 0, output)
  })
}

const findings = {
  hang: /hangs: nothing for 10 s/,
  crash: /ends with SIGSEGV/,
  wrong: /Error: on purpose/,
  stray: /nobody caught Error: on purpose/,
  leak: /within 50 steps: \d+ descriptors, \d+ before/,
}

for (const [kind, expected] of Object.entries(findings)) {
  test(`a fuzzer that meets a ${kind} says with which seed and at which step`, async (t) => {
    const env = {
      VMEXIT_BROKEN: kind,
      ...(kind === 'hang' && { VMEXIT_SILENT_MS: '10000' }),
      VMEXIT_LEAK_MS: '10000',
    }
    const broken = '__test__/fixtures/broken.mjs'
    // So many steps as it takes to look for a leak, however long they take.
    const limits = ['--seconds', '3600', '--steps', '52', '--findings', '1']
    const { code, output } = await ended([...fuzz, broken, ...limits, '--seed', 'a seed'], env)
    t.is(code, 1, output)
    t.regex(output, expected)
    t.regex(output, /^FAILED broken, seed a seed, step \d+/m)
    t.regex(output, /^ {2}step \d+: \{"first":\d+,"second":\d+\}$/m)
    t.regex(output, /^ {2}again: npm run fuzz -- --task \S+\.json/m)
  })
}
