// Random routes of every kind, whose handlers answer at once, slowly, or by a promise.
import { setTimeout as sleep } from 'node:timers/promises'

/** Ports and addresses that do not overlap, for a claim each. */
const PORTS = [0x10, 0x20, 0x40, 0x60, 0x80, 0xe9, 0xf4, 0x1f0, 0x3f8, 0x402, 0x604, 0x5658, 0xffff]
const ADDRESSES = [
  0x9_0000, 0xb_8000, 0xe_0000, 0x1000_0000, 0x2000_0000, 0xd000_0000, 0x1_0000_0000,
]
const KINDS = [
  'console',
  'constant',
  'discard',
  'count',
  'stop',
  'device',
  'queue',
  'coalesce',
  'event',
]

/** Microseconds that a slow handler takes for each thing that it is given. */
const SLOW_US = 100

/** How a handler answers; under `runSync` no promise. */
const manner = (random, sync) =>
  random.pick(
    sync
      ? ['quick', 'quick', 'slow']
      : ['quick', 'quick', 'slow', 'promise', 'late', 'slow promise'],
  )

function claim(random, place, kind) {
  const at = place < 0x1_0000 ? { port: place } : { gpa: place }
  if (kind === 'event') return at
  const room = place < 0x1_0000 ? 8 : 0x1000
  return random.oneIn(2)
    ? at
    : { ...at, length: Math.min(random.between(1, room), 0x1_0000 - at.port || room) }
}

function target(random, to, sync) {
  const how = manner(random, sync)
  switch (to) {
    case 'constant':
      return { to, value: random.wide() }
    case 'console':
      return random.oneIn(2) ? { to } : { to, how }
    case 'event':
      return random.oneIn(3)
        ? { to, how, datamatch: random.wide(), size: random.pick([1, 2, 4]) }
        : { to, how }
    case 'queue':
    case 'coalesce':
      return random.oneIn(3) ? { to, how, value: random.wide() } : { to, how }
    case 'device':
      return { to, how }
    default:
      return { to }
  }
}

/** Descriptions of routes: of some ports and addresses, or of one that takes them all. */
export function randomRoutes(random, sync) {
  if (random.oneIn(12))
    return [{ port: 0, length: 0x1_0000, ...target(random, random.pick(KINDS.slice(0, -1)), sync) }]
  if (random.oneIn(12)) {
    return [
      {
        gpa: 0x1000_0000,
        length: 2 ** 32 - 1,
        ...target(random, random.pick(KINDS.slice(0, -2)), sync),
      },
    ]
  }
  const places = [...PORTS, ...ADDRESSES].filter(() => random.oneIn(2))
  return places.map((place) => {
    const to = random.pick(KINDS)
    return { ...claim(random, place, to), ...target(random, to, sync) }
  })
}

/** Addresses and ports for guests: those that routes claim, and some that none does. */
export function placesOf(routes) {
  const ports = routes.flatMap(({ port }) => (port === undefined ? [] : [port]))
  const mmio = routes.flatMap(({ gpa }) => (gpa === undefined ? [] : [gpa]))
  return {
    ports: [...ports, ...ports, 0x21, 0x64, 0x70, 0x3fd],
    mmio: [...mmio, ...mmio, 0xc000_0000],
    memory: [0x500, 0x1000, 0x2000, 0xf_ff00, 0xfe00_0000, 0xfee0_0000],
  }
}

/** Works so long for each of `count` things. */
function spin(count) {
  const end = performance.now() + (SLOW_US * count) / 1000
  while (performance.now() < end);
}

function handler(how, answer, amount = () => 1) {
  const slow = (given) => spin(Math.min(amount(given), 4096))
  switch (how) {
    case 'slow':
      return (given) => (slow(given), answer)
    case 'promise':
      return async () => answer
    case 'late':
      return () => sleep(1, answer)
    case 'slow promise':
      return async (given) => (slow(given), answer)
    default:
      return () => answer
  }
}

const isPosted = (to) => to === 'queue' || to === 'coalesce'

/** The route that a description describes. */
export function makeRoute({ how, ...route }) {
  const value = route.value === undefined ? {} : { value: BigInt(route.value) }
  const datamatch = route.datamatch === undefined ? {} : { datamatch: BigInt(route.datamatch) }
  const plain = { ...route, ...value, ...datamatch }
  if (route.to === 'device') {
    return { ...plain, device: { read: handler(how, 0x5a), write: handler(how) } }
  }
  if (how === undefined) return plain
  if (isPosted(route.to))
    return { ...plain, onBatch: handler(how, undefined, ({ length }) => length) }
  if (route.to === 'event') return { ...plain, onEvent: handler(how) }
  return { ...plain, onData: handler(how, undefined, ({ length }) => length) }
}
