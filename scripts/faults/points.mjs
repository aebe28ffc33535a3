// Which calls of a scenario shall fail, and how.
import { callOf, errorsOf } from './calls.mjs'

/** A call that a scenario makes more often fails at its first occurrences, at its last ones, and at some between. */
const MOST_OCCURRENCES = 12

/** The first machine of a process is about what comes first; a process for each of its points is dear. */
function occurrences(scenario, count) {
  if (scenario.startsWith('first')) return [0]
  if (count <= MOST_OCCURRENCES) return Array.from({ length: count }, (_, index) => index)
  const step = count / MOST_OCCURRENCES
  return Array.from({ length: MOST_OCCURRENCES }, (_, index) =>
    index < MOST_OCCURRENCES / 2 ? index : Math.min(Math.floor((index + 1) * step), count) - 1,
  )
}

function countEach(calls) {
  const counts = new Map()
  for (const call of calls) counts.set(call, (counts.get(call) ?? 0) + 1)
  return counts
}

/** Every ioctl fails from the first of this name on; `index` counts ioctls. */
function andAllBehind(scenario, calls, call) {
  if (!call.startsWith('KVM_')) return []
  const index = calls.slice(0, calls.indexOf(call)).filter((it) => it.startsWith('KVM_')).length
  return [{ scenario, call, index, error: 'ENOMEM', span: 'all' }]
}

/** All points of a scenario, from the calls that it makes when all is well. */
export function allPoints(scenario, calls) {
  return [...countEach(calls)].flatMap(([call, count]) => {
    const single = occurrences(scenario, count).flatMap((index) =>
      errorsOf(call).flatMap((error) =>
        ['once', 'ever'].map((span) => ({ scenario, call, index, error, span })),
      ),
    )
    return [...single, ...andAllBehind(scenario, calls, call)]
  })
}

/** One point of each call of a scenario; `turn` moves on which. */
export function fewPoints(scenario, calls, turn) {
  return [...countEach(calls).keys()].map((call, place) => {
    const points = allPoints(scenario, calls).filter((point) => point.call === call)
    // A number without common factor with the sizes in question, so that neighbours differ in all they can.
    return points[(place * 7 + turn * 11) % points.length]
  })
}

/** As it is shown, and named on the command line to be tried again. */
export function show({ scenario, call, index, error, span }) {
  return `${scenario} / ${call} ${index} ${error} ${span}`
}

/** The point that `show` has shown. */
export function parse(text) {
  const [, scenario, call, index, error, span] =
    /^(.+) \/ (\S+) (\d+) (\S+) (\S+)$/.exec(text) ?? []
  if (span === undefined)
    throw new Error(`'${text}' is no point, such as 'long / KVM_RUN 0 ENOMEM once'`)
  callOf(call)
  return { scenario, call, index: Number(index), error, span }
}
