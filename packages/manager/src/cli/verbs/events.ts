import type { Client } from '../../client/index.ts'
import type { ManagerEvent } from '../../supervisor/interface.ts'
import { plain, print, printJson } from '../output.ts'
import { told } from '../report.ts'
import { type Run, exitCodes, numberOf } from '../verb.ts'

/** `vmexit events`. */
export const events: Run = async ({ values, words, client }) => {
  const since = numberOf(values, 'since', Number.MAX_SAFE_INTEGER)
  const isWanted = ({ machine, uuid }: ManagerEvent): boolean =>
    words.length === 0 || words.includes(machine) || words.includes(uuid)
  const daemon = await client()
  if (values['follow'] === true) {
    for await (const event of daemon.events(since === undefined ? {} : { since }))
      if (isWanted(event)) print(values['json'] ? JSON.stringify(event) : lineOf(event))
    return exitCodes.fine
  }
  const kept = (await keptEvents(daemon, since)).filter(isWanted)
  if (values['json']) printJson({ events: kept })
  else for (const event of kept) print(lineOf(event))
  return exitCodes.fine
}

/** Up to the last one that there is now. */
async function keptEvents(daemon: Client, since: number | undefined): Promise<ManagerEvent[]> {
  const { lastSeq } = await daemon.version()
  const from = since ?? (await oldest(daemon, lastSeq))
  if (from >= lastSeq) return []
  const found: ManagerEvent[] = []
  for await (const event of daemon.events({ since: from })) {
    if (event.seq <= lastSeq) found.push(event)
    if (event.seq >= lastSeq) break
  }
  return found
}

/** The number after which all are kept, found by halves: few are asked for, however many were. */
async function oldest(daemon: Client, lastSeq: number): Promise<number> {
  let [gone, kept] = [-1, lastSeq]
  for (let at = 0; gone + 1 < kept; at = Math.floor((gone + kept) / 2)) {
    if (await isKept(daemon, at)) kept = at
    else gone = at
  }
  return kept
}

async function isKept(daemon: Client, since: number): Promise<boolean> {
  const following = daemon.events({ since })
  try {
    await following.next()
    return true
  } catch (error) {
    if (told(error).code === 'ERR_EVENTS_GONE') return false
    throw error
  } finally {
    await following.return(undefined)
  }
}

function lineOf({ seq, at, machine, type, reason, exitCode }: ManagerEvent): string {
  const more = [
    ...(reason === undefined ? [] : [plain(reason)]),
    ...(exitCode === undefined ? [] : [`code ${exitCode}`]),
  ]
  return `${String(seq).padStart(6)}  ${at}  ${plain(machine)}  ${[type, ...more].join('  ')}`
}
