// Whatever a library does wrong is a fault or a time-out, after which a reset makes it whole.
import test, { type ExecutionContext } from 'ava'
import { GuestFault, GuestTimeout, type Library, instantiate } from 'vmexit/process'

import { kvmTest } from './helpers/kvm.ts'
import { type NativeName, nativeNames } from './helpers/native.ts'
import { libraryOf } from './helpers/native-vectors.ts'
import { randomBelow } from './helpers/random.ts'
import { affordable, patient } from './helpers/speed.ts'

/** One after the other: starts that compete are slow, and each has a time. */
const serially = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  kvmTest(title, body, test.serial)

const soaks = process.env['VMEXIT_SOAK'] === '1'
/** Of all libraries together. */
const wanted = soaks ? 100_000 : 1000
/** How long an endless loop may go on; other calls end much sooner, unless the host is busy. */
const timeoutMs = patient(200)

/** Addresses of all sorts: without memory, of ours, not canonical, of the library itself. */
function address(below: (limit: number) => number): number {
  const page = 4096 * below(256)
  const offset = below(4096)
  const places = [
    0,
    0xfe00_0000,
    0xfea0_0000,
    0xfeff_f000,
    0x40_0000,
    0x5500_0000_0000,
    0x6000_0000_0000,
    0x7eff_fff0_0000,
    0x7fff_0000_0000 - 4096 * 128,
    0x7fff_0000_0000 - (8 << 20) - 4096 * 128,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    Number.MAX_SAFE_INTEGER - 2 ** 21,
    below(2 ** 31) * 2 ** 16,
  ]
  return places[below(places.length)]! + page + offset
}

interface Deed {
  /** What the library must have. */
  needs: string
  /** Its share among all. */
  weight: number
  call: (library: Library, below: (limit: number) => number) => unknown
  /** How it must end; otherwise as it likes. */
  vector?: number
  timeout?: true
}

const wild = (needs: string): Deed => ({
  needs,
  weight: 30,
  call: (library, below) =>
    library.exports[needs]!(address(below), ...(needs === 'poke' ? [below(2 ** 31)] : [])),
})

const deeds: Deed[] = [
  wild('poke'),
  wild('peek'),
  wild('jump'),
  {
    needs: 'poke',
    weight: 5,
    vector: 14,
    call: (library, below) => library.exports['poke']!(below(4096), 1),
  },
  {
    needs: 'divide',
    weight: 10,
    vector: 0,
    call: (library, below) => library.exports['divide']!(below(9), 0),
  },
  {
    needs: 'divide',
    weight: 3,
    vector: 0,
    call: (library) => library.exports['divide']!(-(2 ** 31), -1),
  },
  { needs: 'undefined', weight: 10, vector: 6, call: (library) => library.exports['undefined']!() },
  {
    needs: 'deep',
    weight: 2,
    vector: 14,
    call: (library, below) => library.exports['deep']!(10 ** 6 + below(10 ** 8)),
  },
  { needs: 'spin', weight: 2, timeout: true, call: (library) => library.exports['spin']!() },
]

/** How a call ends. A busy host may make a time-out of any. */
function outcome(call: () => unknown): GuestFault | GuestTimeout | 'returned' {
  try {
    call()
    return 'returned'
  } catch (error) {
    if (error instanceof GuestFault || error instanceof GuestTimeout) return error
    throw error
  }
}

/** A right answer of a library that is as after its start, however long the host lets it wait. */
function isRight(library: Library, a: number, b: number): boolean {
  for (let tries = 0; tries < 1000; tries += 1) {
    let sum: unknown
    let turn: unknown
    const end = outcome(() => {
      sum = library.exports['add']!(a, b)
      turn = library.exports['next']!()
    })
    if (end === 'returned') return sum === ((a + b) | 0) && turn === 1
    if (end instanceof GuestFault) return false
    library.reset()
  }
  return false
}

const chosen: NativeName[] = nativeNames.filter((name) => name !== 'musl-returns')
for (const [index, name] of chosen.entries()) {
  serially(
    `a library is whole again after each of random faults and time-outs: ${name}`,
    async (t) => {
      const found = libraryOf(name)
      if ('missing' in found) {
        t.log(`skipped: ${found.missing}`)
        t.pass()
        return
      }
      t.timeout(30 * 60_000)
      const imports = { visit: () => 0, weigh: () => 0, unheard: () => undefined }
      const options = { imports, timeoutMs }
      using library = await started(() => instantiate(found.image, options))
      const possible = deeds.filter(({ needs }) => found.exported.has(needs))
      const lots = possible.flatMap((deed) => Array.from({ length: deed.weight }, () => deed))
      const below = randomBelow(20 + index)
      const counts = { returned: 0, faults: 0, timeouts: 0 }
      const times = Math.ceil(affordable(wanted) / chosen.length)
      for (let done = 0; done < times; done += 1) {
        const deed = lots[below(lots.length)]!
        const end = outcome(() => deed.call(library, below))
        const what = `${deed.needs}, number ${done}: ${String(end)}`
        if (end === 'returned') counts.returned += 1
        else if (end instanceof GuestTimeout) counts.timeouts += 1
        else counts.faults += 1
        if (deed.timeout) t.true(end instanceof GuestTimeout, what)
        else if (deed.vector !== undefined && !(end instanceof GuestTimeout))
          t.is((end as GuestFault).vector, deed.vector, what)
        library.reset()
        if (!isRight(library, below(2 ** 31), below(2 ** 31))) return void t.fail(what)
        library.reset()
      }
      t.log(JSON.stringify(counts))
      // A busy host makes a time-out of any.
      t.true(counts.faults > (times - counts.timeouts) / 10 || counts.timeouts === times)
    },
  )
}

/** A start counts as a call, too, and a busy host may make a time-out of it. */
async function started<T>(start: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await start()
    } catch (error) {
      if (!(error instanceof GuestTimeout) || tries === 1000) throw error
    }
  }
}
