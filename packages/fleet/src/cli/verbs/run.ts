import { type MapOptions, type Progress, map } from '../../index.ts'
import { jobsOf } from '../jobs.ts'
import { LiveLine, print, tell } from '../output.ts'
import { lineOf } from '../results.ts'
import { describeProgress, describeSummary, summaryOf } from '../summary.ts'
import { type Run, type Values, durationOf, exitCodes, numberOf, textOf } from '../verb.ts'

/** `vmexit fleet run`. */
export const run: Run = async ({ values, words: [file = '-'] }) => {
  const live = new LiveLine()
  const stop = new AbortController()
  const interrupt = (): void => stop.abort(new Error('interrupted'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt)
  let last: Progress | undefined
  const onProgress = (progress: Progress): void => {
    last = progress
    live.show(describeProgress(progress))
  }
  const options = { ...optionsOf(values), signal: stop.signal, onProgress }
  try {
    for await (const result of map(jobsOf(file), options)) {
      live.clear()
      await printed(values['json'] ? JSON.stringify(result) : lineOf(result))
    }
  } catch (error) {
    live.clear()
    if (!stop.signal.aborted) throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt)
  }
  live.clear()
  const summary = summaryOf(last ?? nothing)
  if (values['json']) print(JSON.stringify({ summary }))
  tell(describeSummary(summary))
  if (stop.signal.aborted) return exitCodes.interrupted
  return summary.failed === 0 ? exitCodes.fine : exitCodes.failure
}

const nothing: Progress = {
  ...{ taken: 0, done: 0, failed: 0, running: 0, children: 1, elapsedMs: 0, guestMs: 0 },
}

function optionsOf(values: Values): MapOptions {
  const given = {
    connection: textOf(values, 'redis'),
    queue: textOf(values, 'queue'),
    campaign: textOf(values, 'campaign'),
    store: textOf(values, 'store'),
    modules: textOf(values, 'modules'),
    cache: textOf(values, 'cache'),
    concurrency: numberOf(values, 'concurrency', 100_000),
    attempts: numberOf(values, 'attempts', 1000),
    timeoutMs: durationOf(values, 'timeout'),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** A reader that is slow makes the jobs wait. */
async function printed(line: string): Promise<void> {
  if (process.stdout.write(`${line}\n`)) return
  await new Promise((resolve) => process.stdout.once('drain', resolve))
}
