// Handlers that call the API themselves and answer in every way, as a description says.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import { randomCall } from './calls.mjs'
import { Planted, materialize, randomOdd } from './values.mjs'

const WAYS = [
  'value',
  'value',
  'value',
  'promise',
  'promise',
  'late',
  'late',
  'odd',
  'odd promise',
  'throw',
  'reject',
  'never',
  'slow',
]

/** How long a slow handler works. */
const SLOW_MS = 3

/** What ends a run, of the machine that asks. Two of them in one breath meet where one alone does not. */
const ENDS = ['stop', 'close', 'abort', 'dispose']

function randomCalls(random, machines, self) {
  if (random.oneIn(3)) return random.several(2, () => ({ call: random.pick(ENDS), vm: self }))
  return random.several(random.between(1, 3), () => randomCall(random, machines))
}

/** What a handler of machine `self` does: nothing mostly, and something in one of its first calls. */
export function randomHandler(random, machines, self) {
  return {
    way: random.pick(WAYS),
    ...(random.oneIn(2) && { calls: randomCalls(random, machines, self) }),
    ...(random.oneIn(2) && { after: randomCalls(random, machines, self) }),
    at: random.below(4),
    value: random.oneIn(3) ? randomOdd(random) : random.below(256),
  }
}

function spin() {
  const end = performance.now() + SLOW_MS
  while (performance.now() < end);
}

async function later(way, value, after) {
  await (way === 'late' ? sleep(1) : turn())
  after()
  if (way === 'reject') throw new Planted('rejected')
  return value
}

/** The function that a description describes; its calls are made of the session. */
export function makeHandler(
  session,
  { way, calls = [], after = [], at, value },
  judge = () => undefined,
) {
  let times = 0
  return (...given) => {
    judge(...given)
    const now = times++ === at
    if (now) session.performAll(calls)
    const answer = materialize(value)
    switch (way) {
      case 'throw':
        throw new Planted('thrown')
      case 'never':
        return new Promise(() => undefined)
      case 'slow':
        return spin()
      case 'odd':
        return answer
      case 'odd promise':
        return Promise.resolve(answer)
      case 'promise':
      case 'late':
      case 'reject':
        return later(way, answer, () => now && session.performAll(after))
      default:
        return typeof value === 'number' ? value : 1
    }
  }
}

/** A device; now and then one whose methods are getters that call the API. */
export function makeDevice(session, { read, write, getter }, length) {
  const judge = (offset, size, ...rest) => {
    const inside =
      Number.isInteger(offset) && offset >= 0 && offset < length && [1, 2, 4].includes(size)
    if (!inside) session.wrong(`a device of ${length} was asked for offset ${offset}, size ${size}`)
    if (!rest.every((it) => typeof it === 'number')) session.wrong(`a device was given ${rest}`)
  }
  const methods = {
    read: makeHandler(session, read, judge),
    write: makeHandler(session, write, judge),
  }
  if (!getter) return methods
  const calls = () => session.performAll(getter)
  return {
    get read() {
      return (calls(), methods.read)
    },
    get write() {
      return (calls(), methods.write)
    },
  }
}
