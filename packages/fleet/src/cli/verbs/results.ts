import { resultOf } from '../../engines/queue/carried.ts'
import { fromQueueId, isName } from '../../engines/queue/names.ts'
import { print } from '../output.ts'
import { withQueue } from '../queue.ts'
import { lineOf } from '../results.ts'
import { type Run, exitCodes, textOf, usage } from '../verb.ts'

/** How many are read at a time. */
const BATCH = 100

/** `vmexit fleet results`. */
export const results: Run = async ({ values }) => {
  const campaign = textOf(values, 'campaign')
  if (campaign !== undefined && !isName(campaign))
    usage('--campaign must be 1 to 64 of A-Z a-z 0-9 . _ -')
  return await withQueue(values, async ({ queue }) => {
    for (const kind of ['completed', 'failed'] as const) {
      for (let at = 0; ; at += BATCH) {
        const jobs = await queue.getJobs([kind], at, at + BATCH - 1, true)
        for (const job of jobs) {
          const own = fromQueueId(job?.id ?? '')
          const result = job && resultOf(job)
          if (!own || !result || (campaign !== undefined && own.campaign !== campaign)) continue
          if (values['failed'] && result.status !== 'failed') continue
          print(
            values['json'] ? JSON.stringify({ campaign: own.campaign, ...result }) : lineOf(result),
          )
        }
        if (jobs.length < BATCH) break
      }
    }
    return exitCodes.fine
  })
}
