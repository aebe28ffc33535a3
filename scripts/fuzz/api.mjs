// Sequences of calls of the public API with good and odd values, from outside and from handlers, in every state of a run. Every call returns and
// every promise settles in time, and whatever fails is a `VmError`.
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

import { VirtualMachine } from '../../dist/index.js'
import { randomCall } from './calls.mjs'
import { makeDevice, makeHandler, randomHandler } from './handlers.mjs'
import { Session } from './session.mjs'
import { materialize, spoil } from './values.mjs'

/** Guests in real mode, in hexadecimal. Ports: 0x60 a device, 0x62 a queue, 0x63 coalesced, 0x64 an event, 0xe9 text, 0x10 and 0x11 unclaimed. */
const GUESTS = [
  'f4',
  'ebfe',
  'e660f4',
  'e462f4',
  'e460e660ebfa',
  'e661e461ebfa',
  'e662ebfc',
  'e663ebfc',
  'e664ebfc',
  'e6e9ebfc',
  'e411e610ebfa',
  'e660e460e662e663e664e6e9e411e610ebee',
  'baf803b041eeec66edebf8',
  '0f0b',
]

/** Longer than most runs that have a limit, on a busy host too. */
const PATIENCE_MS = 100

const PORTS = { device: 0x60, queue: 0x62, coalesce: 0x63, event: 0x64, console: 0xe9 }

function randomRoute(random, to, machines, self) {
  const handler = () => randomHandler(random, machines, self)
  const route = { port: PORTS[to], to, handler: handler() }
  if (to !== 'device') return route
  const getter = random.oneIn(4) && random.several(1, () => randomCall(random, machines))
  return { ...route, length: random.between(1, 2), write: handler(), ...(getter && { getter }) }
}

function randomMachine(random, machines, self) {
  const routes = Object.keys(PORTS).filter(() => !random.oneIn(4))
  const options = {
    mode: 'real',
    memoryBytes: random.oneIn(4) ? 0x40_0000 : 0x1_0000,
    payload: { image: { hex: random.pick(GUESTS) } },
    routes: routes.map((to) => randomRoute(random, to, machines, self)),
    ...(random.oneIn(3) && { vcpus: random.pick([2, 4]) }),
    ...(random.oneIn(4) && { irqchip: true }),
    ...(random.oneIn(4) && { serial: true }),
    ...(random.oneIn(4) && { slots: [{ gpa: 0x10_0000, bytes: 4096, readOnly: true }] }),
  }
  return random.oneIn(3) ? spoil(random, options) : options
}

const randomStep = (random, machines) =>
  random.oneIn(2)
    ? { wait: random.pick([0, 1, 5, 'run', 'run', 'run']) }
    : randomCall(random, machines)

/** Machines and calls, as plain JSON. */
export function generate(random) {
  const count = random.pick([1, 1, 2, 3])
  return {
    machines: random.several(count, (self) => randomMachine(random, count, self)),
    steps: random.several(random.between(2, 20), () => randomStep(random, count)),
  }
}

const isPlain = (value) => typeof value === 'object' && value !== null && !('odd' in value)

/** A route's handlers, where odd values have left any of it. */
function makeRoute(session, route) {
  if (!isPlain(route) || !isPlain(route.handler)) return materialize(route)
  const { handler, write, getter, ...rest } = route
  const plain = materialize(rest)
  const isWhole = isPlain(write) && (getter === undefined || Array.isArray(getter))
  if (rest.to === 'device' && isWhole) {
    return { ...plain, device: makeDevice(session, { read: handler, write, getter }, rest.length) }
  }
  const name =
    { queue: 'onBatch', coalesce: 'onBatch', event: 'onEvent', console: 'onData' }[rest.to] ??
    'onBatch'
  return { ...plain, [name]: makeHandler(session, handler) }
}

function makeImage(payload) {
  if (!isPlain(payload) || !isPlain(payload.image)) return materialize(payload)
  const { hex } = payload.image
  return {
    ...materialize(payload),
    image: typeof hex === 'string' ? new Uint8Array(Buffer.from(hex, 'hex')) : hex,
  }
}

function makeMachine(session, options) {
  try {
    const plain = isPlain(options) && !Array.isArray(options)
    const made = plain
      ? { ...materialize({ ...options, routes: undefined, payload: undefined }) }
      : materialize(options)
    if (plain && 'payload' in options) made.payload = makeImage(options.payload)
    if (plain && 'routes' in options) {
      const { routes } = options
      made.routes = Array.isArray(routes)
        ? routes.map((route) => makeRoute(session, route))
        : materialize(routes)
    }
    session.machines.push(new VirtualMachine(made))
  } catch (error) {
    session.judge(error, 'new VirtualMachine')
  }
}

/** Waits: for a turn of the event loop, some milliseconds, or until all runs have ended, should they do so by themselves. */
function wait(session, how) {
  if (how === 0) return turn()
  return how === 'run' ? Promise.race([session.settled(), sleep(PATIENCE_MS)]) : sleep(how)
}

/** Makes the machines and the calls; throws when something is wrong. */
export async function execute({ machines, steps }) {
  const session = new Session()
  for (const options of machines) makeMachine(session, options)
  for (const step of steps) {
    if (step.wait === undefined) session.perform(step)
    else await wait(session, step.wait)
  }
  await session.end()
  if (session.faults.length > 0) throw new Error(session.faults.join('\n'))
}
