import { closeSync, openSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'

import { VmError } from '../../native/errors.ts'
import type { Baseline } from '../../bench/baseline/baseline.ts'
import type { BenchDocument } from '../../bench/document.ts'
import { describeHost, mayOpenKvm, oneMachine } from '../../bench/host.ts'
import { Bench } from '../../bench/measure.ts'
import { renderPage } from '../../bench/page.ts'
import { Progress } from '../../bench/progress.ts'
import type { BenchRoute } from '../../bench/routes/route.ts'
import { benchRoutes } from '../../bench/routes/routes.ts'
import { defaultExits, routeNames } from '../../bench/route-names.ts'
import { startBaseline } from '../../bench/baseline/start-baseline.ts'
import { above, describe, duration } from '../../bench/table.ts'
import {
  type Run,
  UsageError,
  type Values,
  exitCodes,
  packageVersion,
  printJson,
} from '../command.ts'
import { parseNumber, parseWord } from '../values.ts'

/** `vmexit bench`. */
export const runBench: Run = async (values, positionals) => {
  if (positionals.length > 0) UsageError.raise(`bench takes no argument, got '${positionals[0]}'`)
  const routes = chosenRoutes(values)
  const exits = chosenExits(values)
  const out = values['out'] === undefined ? undefined : writable(String(values['out']))
  const document = await measureAll(routes, exits)
  if (out !== undefined) {
    writeFileSync(out, renderPage(document))
    process.stderr.write(`wrote ${out}\n`)
  }
  if (values['json']) printJson(document)
  else process.stdout.write(describe(document))
  if (document.interrupted) return exitCodes.interrupted
  return document.failed.length > 0 ? exitCodes.hostFailure : exitCodes.fine
}

function chosenRoutes(values: Values): readonly BenchRoute[] {
  const wanted = (values['route'] ?? []) as string[]
  const known = wanted.map((name) => parseWord('--route', routeNames, name))
  return benchRoutes.filter(({ name }) => known.length === 0 || known.includes(name))
}

function chosenExits(values: Values): number {
  if (values['exits'] === undefined) return defaultExits
  const text = String(values['exits'])
  const exits = parseNumber('--exits', text)
  return exits > 0 ? exits : UsageError.raise(`--exits must be a positive number, got '${text}'`)
}

/** Finds out before measuring whether the page can be written afterwards. */
function writable(path: string): string {
  try {
    closeSync(openSync(path, 'a'))
    return path
  } catch (error) {
    return UsageError.raise(`--out must be a file that can be written: ${(error as Error).message}`)
  }
}

async function measureAll(routes: readonly BenchRoute[], exits: number): Promise<BenchDocument> {
  if (!mayOpenKvm()) oneMachine()
  const document: BenchDocument = {
    schema: 'vmexit-bench/1',
    package: packageVersion(),
    date: new Date().toISOString(),
    interrupted: false,
    exits,
    host: describeHost(),
    loadAverage: loadavg()[0] ?? 0,
    baseline: { name: 'none', nsPerExit: null, about: '', kinds: [] },
    routes: [],
    skipped: [],
    failed: [],
  }
  const progress = new Progress(routes.length)
  const { loadAverage, host } = document
  if (loadAverage > host.cores) {
    const busy = `load ${loadAverage.toFixed(1)} on ${host.cores} cores`
    progress.warn(`${busy}: other programs share the time; see the spread`)
  }
  const controller = new AbortController()
  const { signal } = controller
  // The second Ctrl-C finds no listener and ends the process at once.
  const interrupt = (): void => controller.abort()
  process.once('SIGINT', interrupt)
  let baseline: Baseline | undefined
  let meter: Bench | undefined
  try {
    progress.step('building the raw C loop')
    baseline = await startBaseline(signal, (text) => progress.warn(text))
    meter = new Bench(baseline, exits, signal)
    await meter.warmUp()
    // As long as this process has no machine, those of C are alone.
    const alone = routes.find(({ others }) => others.includes('lifecycle-alone'))
    if (alone) await meter.beforehand('lifecycle', 'lifecycle-alone', alone.units(exits))
    oneMachine()
    for (const route of routes) await measureOne(meter, route, document, progress)
  } catch (error) {
    if (!signal.aborted) return Promise.reject(error)
  } finally {
    process.off('SIGINT', interrupt)
    progress.clear()
    await baseline?.close()
  }
  const kinds = meter?.kinds() ?? []
  const nsPerExit = kinds.find(({ kind }) => kind === 'pio')?.nsPerExit.mean ?? null
  if (baseline) {
    document.baseline = { name: baseline.name, nsPerExit, about: baseline.about, kinds }
  }
  document.interrupted = signal.aborted
  return document
}

/** A route that fails does not take the others with it. */
async function measureOne(
  meter: Bench,
  route: BenchRoute,
  document: BenchDocument,
  progress: Progress,
): Promise<void> {
  const { name } = route
  try {
    route.probe()
    const result = await meter.measure(route, (text) => progress.step(`${name}: ${text}`))
    if (!result) return
    document.routes.push(result)
    const ratio =
      result.ratio === null
        ? ''
        : `, ratio ${result.ratio.toFixed(2)}, ${above(result.nsAbove)} above C`
    progress.done(`${name}: ${duration(result.nsPerExit.mean)} per ${result.unit}${ratio}`)
  } catch (error) {
    const { message: reason } = error as Error
    const absent = error instanceof VmError && error.code === 'ERR_KVM_CAPABILITY'
    document[absent ? 'skipped' : 'failed'].push({ route: name, reason })
    progress.done(`${name}: ${absent ? 'skipped' : 'failed'}: ${reason}`)
  }
}
