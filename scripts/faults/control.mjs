// The shim's control words, from inside the process that it is preloaded into.
import { callOf, errnoOf, nameOf } from './calls.mjs'

// As in shim.c.
const [ARMED, KIND, REQUEST, SKIP, TIMES, ERRNO, FIRED, SEEN, LOG] = [0, 1, 2, 3, 4, 5, 6, 7, 8]
const [OFF, COUNTING, FAILING] = [0, 1, 2]
const FOR_EVER = 2 ** 31 - 1

const words = load()

function load() {
  const module = { exports: {} }
  process.dlopen(module, process.env.LD_PRELOAD)
  return new Int32Array(module.exports)
}

/** From here on the addon's calls are noted. */
export function count() {
  words[SEEN] = 0
  words[ARMED] = COUNTING
}

/** Names of the calls since `count`, in order. */
export function counted() {
  words[ARMED] = OFF
  const entries = words.subarray(LOG, LOG + Math.min(words[SEEN], words.length - LOG))
  return Array.from(entries, (entry) => nameOf(entry >>> 16, entry & 0xffff))
}

/**
 * From here on a call fails: the one before which `index` others of its name were let through, and with `span` `ever` each after it, or with
 * `all` each of its kind, where `index` counts calls of the kind.
 */
export function arm({ call, index, error, span }) {
  const { kind, request } = callOf(call)
  words[KIND] = kind
  words[REQUEST] = span === 'all' ? -1 : request
  words[SKIP] = index
  words[TIMES] = span === 'once' ? 1 : FOR_EVER
  words[ERRNO] = errnoOf(error)
  words[FIRED] = 0
  words[SEEN] = 0
  words[ARMED] = FAILING
}

/** Everything succeeds again; how often a call has failed. */
export function disarm() {
  words[ARMED] = OFF
  return words[FIRED]
}
