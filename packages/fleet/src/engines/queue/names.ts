/** The queue that `map`, workers and commands use unless told otherwise. */
export const defaultQueue = 'vmexit'

/** How many finished jobs a queue keeps, of each kind; older ones leave it. */
export const keptResults = 10_000

/** How many jobs of one `map` are in the queue at once, finished and not taken ones among them. */
export const defaultWindow = 1_000

/** What may name a queue or a campaign. */
const word = /^[A-Za-z0-9._-]{1,64}$/

/** Whether it may name a queue or a campaign. */
export function isName(text: unknown): text is string {
  return typeof text === 'string' && word.test(text)
}

/**
 * The id of a job in BullMQ, which accepts no colon: the campaign, `~`, and the job's id with `+`
 * for each colon. Neither sign occurs in names or ids.
 */
export function queueId(campaign: string, id: string): string {
  return `${campaign}~${id.replaceAll(':', '+')}`
}

/** The campaign and the id of a job, from its id in BullMQ; `undefined` if it is none of ours. */
export function fromQueueId(text: string): { campaign: string; id: string } | undefined {
  const at = text.indexOf('~')
  if (at < 1) return undefined
  return { campaign: text.slice(0, at), id: text.slice(at + 1).replaceAll('+', ':') }
}

/** Keys of Redis that are this package's own; BullMQ's begin with `bull:`. */
export const keys = {
  /** Set, for an hour, when the jobs of a campaign shall not run any more; the value says why. */
  ended: (queue: string, campaign: string) => `vmexit-fleet:${queue}:ended:${campaign}`,
  /** What a worker says of itself; it expires when the worker is not heard of. */
  worker: (queue: string, name: string) => `vmexit-fleet:${queue}:worker:${name}`,
  /** Names of workers, some of which may be gone. */
  workers: (queue: string) => `vmexit-fleet:${queue}:workers`,
  /** A hash of small values that the jobs of a campaign share. */
  shared: (queue: string, campaign: string) => `vmexit-fleet:${queue}:shared:${campaign}`,
}
