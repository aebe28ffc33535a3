import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { Assignment, Down, Ended, Up } from './protocol.ts'

/** How a child has ended before it said anything. */
export interface Death {
  readonly type: 'death'
  readonly message: string
}

/** What a child needs of its parent during a job. */
export interface Ears {
  /** Answers what the child asks. */
  ask(message: Extract<Up, { type: 'ask' }>): Promise<unknown>
  /** Hears what a module says. */
  progress(message: Extract<Up, { type: 'progress' }>): void
  /** Makes a thrown value data. */
  told(error: unknown): { code: string; message: string }
}

/** Bytes of what a child writes to stderr that its death is explained by. */
const mostComplaint = 2000

const compiled = fileURLToPath(new URL('main.js', import.meta.url))
const main = existsSync(compiled) ? compiled : fileURLToPath(new URL('main.ts', import.meta.url))

/**
 * What of this process's own options its children have: what makes modules loadable. A script of
 * `--eval` would be run again by each of them, and make children of its own.
 */
const loads = /^--(import|require|conditions|experimental-loader|loader)=/

/** A process that runs one job after the other. */
export class Child {
  readonly #process: ChildProcess
  readonly #gone: Promise<void>
  /** Settled when it can take a job, or never will. */
  readonly ready: Promise<void>
  #isReady: () => void = () => undefined
  #ears: Ears | undefined
  #finish: ((how: Ended | Death) => void) | undefined
  #death: Death | undefined
  #complaint = ''

  constructor() {
    const child = fork(main, [], {
      execArgv: process.execArgv.filter((word) => loads.test(word)),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process = child
    this.ready = new Promise((resolve) => (this.#isReady = resolve))
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#complaint = `${this.#complaint}${String(bytes)}`.slice(-mostComplaint)
    })
    child.on('message', (message: Up) => void this.#hear(message))
    this.#gone = new Promise((resolve) => {
      child.once('error', (error) => this.#die(`it could not be started: ${error.message}`))
      // Not 'exit': what it has said before may still be on its way.
      child.once('close', (code, signal) => {
        const how = signal === null ? `it exited with ${code}` : `${signal} has ended it`
        const complaint = this.#complaint.trim()
        this.#die(complaint === '' ? how : `${how}: ${complaint}`)
        resolve()
      })
    })
  }

  /** Whether it takes a job. */
  get alive(): boolean {
    return this.#death === undefined && this.#process.connected
  }

  /** Its process. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Has it run a job. */
  async run(assignment: Assignment, ears: Ears): Promise<Ended | Death> {
    if (this.#death) return this.#death
    this.#ears = ears
    const finished = new Promise<Ended | Death>((resolve) => (this.#finish = resolve))
    this.#send(assignment)
    const how = await finished
    this.#ears = undefined
    this.#finish = undefined
    return how
  }

  /** Ends it at once, whatever it does. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#gone
  }

  #send(message: Down): void {
    if (!this.#process.connected) return
    // That it is gone is told by its end.
    this.#process.send(message, () => undefined)
  }

  #die(message: string): void {
    this.#death ??= { type: 'death', message: `the child process has died: ${message}` }
    this.#isReady()
    this.#finish?.(this.#death)
  }

  async #hear(message: Up): Promise<void> {
    if (message.type === 'ready') return this.#isReady()
    const ears = this.#ears
    if (!ears) return
    if (message.type === 'ended') this.#finish?.(message)
    else if (message.type === 'progress') ears.progress(message)
    else {
      const { call } = message
      try {
        this.#send({ type: 'answer', call, value: await ears.ask(message) })
      } catch (error) {
        this.#send({ type: 'answer', call, error: ears.told(error) })
      }
    }
  }
}
