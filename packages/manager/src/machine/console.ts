import type { Writable } from 'node:stream'

import type { Route, VirtualMachine } from 'vmexit'

import { ConsoleLog } from '../store/index.ts'

type Listener = (bytes: Uint8Array) => void

/** A machine's console: what the guest says is kept and told to all who listen. */
export class Console {
  readonly #log: ConsoleLog
  readonly #listeners = new Set<Listener>()
  #typed: Writable | undefined
  #heard: Promise<void> = Promise.resolve()

  private constructor(log: ConsoleLog) {
    this.#log = log
  }

  /** Goes on with the text in a folder. */
  static async open(folder: string): Promise<Console> {
    return new Console(await ConsoleLog.open(folder))
  }

  /** Routes whose text comes here. */
  wired(routes: readonly Route[] = []): readonly Route[] {
    // What a module made of them is checked where they are used.
    if (!Array.isArray(routes)) return routes
    return routes.map((route: Route) =>
      route?.to === 'console' && !route.onData
        ? { ...route, onData: (bytes: Uint8Array) => this.write(bytes) }
        : route,
    )
  }

  /** Takes the serial port of a machine, if it has one. */
  connect(vm: VirtualMachine, hasSerial: boolean): void {
    this.#typed = undefined
    if (!hasSerial) return
    const { serial } = vm
    serial.on('error', () => undefined)
    serial.on('data', (bytes: Uint8Array) => this.write(bytes))
    this.#heard = new Promise((resolve) => serial.once('close', resolve).once('end', resolve))
    this.#typed = serial
  }

  /** Resolves when a machine that was closed has told all. */
  get heard(): Promise<void> {
    return this.#heard
  }

  /** What the guest says. */
  write(bytes: Uint8Array): void {
    this.#log.write(bytes)
    for (const listener of this.#listeners) listener(bytes)
  }

  /** The end of what it has said. */
  get tail(): Uint8Array {
    return this.#log.tail()
  }

  /** Tells what it says from now on; returns what ends that. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What somebody types; `done` is called when there is room for more, or nobody to read it. */
  type(bytes: Uint8Array, done: () => void): void {
    const { writable } = this.#typed ?? {}
    if (!this.#typed || !writable) return done()
    this.#typed.write(bytes, () => done())
  }

  /** All is in the file, or cannot be. */
  close(): Promise<void> {
    return this.#log.close()
  }
}
