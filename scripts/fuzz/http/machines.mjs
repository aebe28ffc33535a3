// One machine that is in every state at once, behind a front end: what reaches it must be of the types that its interface says.
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'

import { ManagerError } from '../../../packages/manager/dist/supervisor/errors.js'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
/** What an argument broke; a front end turns what is thrown into an answer, so that it is kept here. */
export const broken = []

const view = {
  name: 'm',
  uuid: 'u',
  state: 'running',
  persistent: true,
  autostart: false,
  saved: false,
  definition: {},
}
const event = { seq: 1, at: 'now', machine: 'm', uuid: 'u', type: 'running' }

function checked(check) {
  try {
    check()
  } catch (error) {
    broken.push(error)
    throw error
  }
}

function known(name) {
  checked(() => assert.match(name, NAME))
  if (name !== 'm') throw new ManagerError('ERR_NOT_FOUND', `there is no machine ${name}`)
}

const integer = (value, most) =>
  checked(() =>
    assert.ok(Number.isSafeInteger(value) && value >= 0 && value <= most, String(value)),
  )
const optional = (value, type) =>
  checked(() => assert.ok(value === undefined || typeof value === type, String(value)))

/** Options of these types and no others. */
function options(given, types) {
  checked(() => assert.ok(typeof given === 'object' && given !== null && !Array.isArray(given)))
  for (const [key, value] of Object.entries(given))
    checked(() => assert.equal(typeof value, types[key], key))
}

const deed = async (name) => {
  known(name)
  return view
}

/** A supervisor of it. */
export function machines() {
  const listeners = new Set()
  return {
    listeners,
    lastSeq: 1,
    list: () => [view],
    find: (name) => {
      known(name)
      return view
    },
    define: async (definition, { from, ...rest }) => {
      checked(() => assert.equal(from, 'local'))
      options(definition, new Proxy({}, { get: (_, key) => typeof definition[key] }))
      options(rest, { base: 'string', persistent: 'boolean', uuid: 'string' })
      return view
    },
    undefine: deed,
    start: (name, given) => (options(given, { paused: 'boolean', fresh: 'boolean' }), deed(name)),
    stop: (name, given) => (options(given, { timeoutMs: 'number' }), deed(name)),
    powerButton: deed,
    kill: deed,
    reset: deed,
    pause: deed,
    resume: deed,
    nmi: deed,
    save: deed,
    removeSaved: deed,
    setAutostart: (name, on) => (checked(() => assert.equal(typeof on, 'boolean')), deed(name)),
    sendKeys: async (name, codes, holdMs) => {
      known(name)
      checked(() => assert.ok(codes.length > 0 && codes.every((code) => typeof code === 'string')))
      optional(holdMs, 'number')
    },
    memory: async (name, gpa, bytes) => {
      known(name)
      integer(gpa, Number.MAX_SAFE_INTEGER)
      integer(bytes, 65_536)
      return new Uint8Array(bytes)
    },
    screenshot: async (name) => (known(name), new Uint8Array(100)),
    log: async (name, bytes) => (known(name), optional(bytes, 'number'), new Uint8Array(100)),
    stats: async (name) => (known(name), {}),
    sockets: (name) => (known(name), { serial: '/x' }),
    snapshots: async (name) => (known(name), []),
    saveSnapshot: async (name, snapshot, given) => {
      known(name)
      checked(() => assert.match(snapshot, NAME))
      options(given, { description: 'string' })
      return { name: snapshot, at: 'now', bytes: 1, state: 'running' }
    },
    restoreSnapshot: (name, snapshot) => (checked(() => assert.match(snapshot, NAME)), deed(name)),
    removeSnapshot: (name, snapshot) => (checked(() => assert.match(snapshot, NAME)), deed(name)),
    console: async (name) => (known(name), new PassThrough()),
    screen: async (name) => (known(name), new PassThrough()),
    onEvent: (listener, since) => {
      optional(since, 'number')
      if (since > 1) throw new ManagerError('ERR_EVENTS_GONE', 'they are gone')
      if (since === 0) listener(event)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
