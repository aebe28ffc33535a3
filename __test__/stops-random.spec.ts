// Random programs, run freely, stepped through and stopped at, come to the same end; each
// breakpoint is hit as often as the steps say that its instruction is executed.
import { ended } from './fixtures/child.ts'
import { kvmTest } from './helpers/kvm.ts'
import { affordable, isSlow } from './helpers/speed.ts'

interface Fuzzer {
  PLACES: { mode: string; privilege: string; irqchip: boolean }[]
  generate(random: unknown, place: object): unknown
  /** By which means it has stopped, if the program was not too long. */
  execute(task: unknown): Promise<string | undefined>
}

const load = async (name: string) =>
  (await import(new URL(`../scripts/fuzz/${name}.mjs`, import.meta.url).href)) as never
const { PLACES, generate, execute }: Fuzzer = await load('stops/index')
const { Random }: { Random: new (seed: string, step: number) => unknown } = await load('random')

const isSoak = process.env['VMEXIT_SOAK'] === '1'

for (const place of PLACES) {
  const { mode, privilege, irqchip } = place
  const where = `${mode} ${privilege}${irqchip ? ' with an irqchip' : ''}`
  kvmTest(`steps, limits and breakpoints agree about random programs: ${where}`, async (t) => {
    t.timeout(600_000)
    const found = new Set<string>()
    for (let step = 0; step < affordable(5); step++) {
      const task = generate(new Random('stops', step), place)
      try {
        const by = await execute(task)
        if (by !== undefined) found.add(by)
      } catch (error) {
        t.fail(`${String(error)}: ${JSON.stringify(task)}`)
      }
    }
    t.log([...found].join(', '))
    t.true(found.size > 0)
  })
}

kvmTest('and about other ones each time', async (t) => {
  // QEMU itself then takes a core and does nothing more.
  if (isSlow()) {
    t.log('skipped: of random programs, some hang the emulator itself')
    t.pass()
    return
  }
  t.timeout(3_600_000)
  const limits = isSoak ? ['--steps', '10000'] : ['--seconds', '10']
  const { code, output } = await ended(['scripts/fuzz/main.mjs', 'stops', ...limits])
  t.log(output.trimEnd())
  t.is(code, 0)
  t.regex(output, /: [1-9]\d* steps, 0 findings, seed \S/)
})
