// Machines under a sequence of calls: who has been made, which runs are open, and what has gone wrong.
import { VmError } from '../../dist/index.js'
import { perform } from './calls.mjs'
import { makeHandler } from './handlers.mjs'
import { Planted, isPlanted, materialize } from './values.mjs'

/** Every call returns within this time, and every promise settles within it after its machine was closed. */
const BOUND_MS = 60_000
/** Calls of one task, those that handlers make included. */
const MOST_CALLS = 150
/** How deep handlers call handlers. */
const MOST_DEPTH = 3

/** Why a run ends. */
export const REASONS = new Set([
  ...[
    'pio-out',
    'pio-in',
    'mmio-write',
    'mmio-read',
    'hlt',
    'shutdown',
    'fail-entry',
    'internal-error',
  ],
  ...[
    'debug',
    'system-event',
    'unknown',
    'stopped',
    'timeout',
    'exit-port',
    'power-off',
    'reset',
    'fault',
  ],
])

/** Node.js's own, for what a stream is asked. */
const isOfStreams = (error) => /^ERR_(STREAM|INVALID_ARG)/.test(error?.code ?? '')

export class Session {
  machines = []
  /** What has gone wrong, in words. */
  faults = []
  #open = new Set()
  #signals = []
  #calls = 0
  #depth = 0
  #heard = new Set()

  wrong(what) {
    this.faults.push(what)
  }

  /** Judges an error that came out of the API. */
  judge(error, where) {
    const known = error instanceof VmError || isPlanted(error) || error === 'aborted'
    if (!known) this.wrong(`${where}: ${error instanceof Error ? error.stack : String(error)}`)
    else if (error instanceof VmError && error.code === 'ERR_KVM_IOCTL')
      this.wrong(`${where}: ${error.stack}`)
  }

  performAll(calls) {
    if (this.#depth >= MOST_DEPTH) return
    this.#depth++
    for (const call of calls) this.perform(call)
    this.#depth--
  }

  /** One call, its error and its time judged. */
  perform(call) {
    const vm = this.machines[call.vm % this.machines.length]
    if (!vm || this.#calls++ > MOST_CALLS) return
    const begin = performance.now()
    try {
      perform(this, call, vm, materialize)
    } catch (error) {
      if (!(/serial|type|hangUp/.test(call.call) && isOfStreams(error)))
        this.judge(error, call.call)
    }
    const tookMs = performance.now() - begin
    if (tookMs > BOUND_MS) this.wrong(`${call.call} took ${tookMs.toFixed(0)} ms`)
  }

  /** The options of a run: `true` stands for what JSON does not hold. */
  #options(given) {
    if (typeof given !== 'object' || given === null) return given
    const { onExit, signal } = Object.getOwnPropertyDescriptors(given)
    const options = onExit?.value === true || signal?.value === true ? { ...given } : given
    if (onExit?.value === true)
      options.onExit = makeHandler(this, { way: 'value', value: 7, at: -1 })
    if (signal?.value === true) {
      const abort = new AbortController()
      this.#signals.push(abort)
      options.signal = abort.signal
    }
    return options
  }

  begin(vm, [options]) {
    this.keep(vm.run(this.#options(options)))
  }

  runSync(vm, [options]) {
    const checked = this.#options(options)
    // Without a limit of its own it would rightly never end.
    const isEndless =
      checked === undefined || (typeof checked === 'object' && limitOf(checked) === undefined)
    this.#judgeResult(vm.runSync(isEndless ? { timeoutMs: 2 } : checked))
  }

  /** Looks after a promise of the API. */
  keep(promise) {
    this.#open.add(promise)
    void this.#settle(promise)
  }

  async #settle(promise) {
    try {
      const result = await promise
      if (result !== undefined) this.#judgeResult(result)
    } catch (error) {
      this.judge(error, 'a promise')
    }
    this.#open.delete(promise)
  }

  #judgeResult({ reason }) {
    if (!REASONS.has(reason)) this.wrong(`ended with reason '${reason}'`)
  }

  /** A serial port whose errors are handled. */
  listen(serial) {
    if (this.#heard.has(serial)) return serial
    this.#heard.add(serial)
    serial.on('error', (error) => isOfStreams(error) || this.judge(error, 'the serial port'))
    return serial.on('data', () => undefined)
  }

  abort() {
    this.#signals.pop()?.abort('aborted')
  }

  /** When every promise that is open has settled. */
  settled() {
    return Promise.allSettled(this.#open)
  }

  /** Closes everything; what is open then settles in time. */
  async end() {
    for (const vm of this.machines) vm.close()
    const open = this.settled()
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, BOUND_MS, 'late')
    })
    if ((await Promise.race([open, late])) === 'late')
      this.wrong(`${this.#open.size} promises are open after close()`)
    clearTimeout(timer)
  }
}

/** A limit as the package will read it; a getter or a proxy may well throw there. */
function limitOf(options) {
  try {
    return options.timeoutMs
  } catch (error) {
    if (error instanceof Planted || error instanceof TypeError) return 'throws'
    throw error
  }
}
