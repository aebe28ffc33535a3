import { EventEmitter } from 'node:events'
import { clearInterval, setInterval } from 'node:timers'
import { types } from 'node:util'

import { outside } from '../../native/context.ts'
import { VmError, fromFailure, invalid, raise, take } from '../../native/errors.ts'
import type { NativeMachine } from '../../native/seam.ts'
import { checkMilliseconds } from '../../options/check.ts'
import { checkShape, otherwise } from '../../options/shape.ts'
import type { KeySink } from '../rfb/keys.ts'
import { type ListenOptions, type ScreenServer, listen } from '../rfb/listen.ts'
import { linesOf } from './code-page.ts'
import { encodePng } from './png.ts'
import { Waiting, lookMs } from './wait.ts'

/**
 * How long {@link Screen.waitFor} waits.
 *
 * @category Devices
 */
export interface ScreenWaitOptions {
  /** Milliseconds, default 30000. */
  timeoutMs?: number
}

const waitShape = {
  timeoutMs: otherwise(30_000, (name, value) => checkMilliseconds(name, value, 2 ** 31 - 1)),
}

/** What a screen can be asked for. */
type Expected = string | RegExp | ((screen: Screen) => boolean)

/** Tells a screen that its machine is closed. */
export let closeScreen: (screen: Screen) => void

/**
 * What a guest shows, as a test or a viewer sees it. All of it works at any time: while the guest
 * runs, and in handlers. A text screen is the memory at 0xb8000 and the registers of a VGA adapter;
 * a screen of pixels is the memory at 0xf0000000. Neither costs the guest an exit.
 *
 * `'change'` is emitted when something else shows than before. It is found by looking, 30 times a
 * second while there is a listener; that keeps no process alive.
 *
 * @example
 * ```ts
 * // mov ax, 0xb800; mov es, ax; mov word es:[0], 0x1f21; hlt
 * const image = Uint8Array.of(
 *   0xb8, 0x00, 0xb8, 0x8e, 0xc0, 0x26, 0xc7, 0x06, 0, 0, 0x21, 0x1f, 0xf4,
 * )
 * const payload = { image, loadGpa: 0x7c00 }
 * using vm = new VirtualMachine({
 *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload,
 * })
 * void vm.run({ timeoutMs: 5000 })
 * await vm.screen?.waitFor('!')
 * console.log(vm.screen?.text()[0]?.trim()) // !
 * ```
 *
 * @category Devices
 */
export class Screen extends EventEmitter<{
  /** Something else shows than at the last look. */
  change: []
}> {
  static {
    closeScreen = (screen) => screen.#close()
  }

  /** What it has: characters, of code page 437, or pixels. */
  readonly kind: 'text' | 'pixels'
  /** Pixels of a row: 640 on a text screen. */
  readonly width: number
  /** Rows of pixels: 400 on a text screen. */
  readonly height: number
  readonly #machine: NativeMachine
  readonly #keyboard: () => KeySink
  readonly #waiting = new Waiting()
  readonly #servers = new Set<ScreenServer>()
  /** What showed at the last look. */
  readonly #last: Uint8Array
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** @internal */
  constructor(
    machine: NativeMachine,
    keyboard: () => KeySink,
    isText: boolean,
    width: number,
    height: number,
    bytes: number,
  ) {
    super()
    this.#machine = machine
    this.#keyboard = keyboard
    this.kind = isText ? 'text' : 'pixels'
    this.width = width
    this.height = height
    this.#last = new Uint8Array(bytes)
  }

  /**
   * The 25 lines of a text screen, of 80 characters each.
   *
   * @throws {VmError} `ERR_INVALID_OPTION` when it has pixels, `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * vm.memory.write(0xb8000, Buffer.from('h i '))
   * console.log(vm.screen?.text()[0]?.trimEnd()) // hi
   * ```
   */
  text(): string[] {
    return linesOf(take(this.#machine.screenCells()))
  }

  /**
   * What shows, as a copy: red, green, blue and 255 of each pixel, row by row. On a text screen
   * what blinks is shown, the cursor too.
   *
   * @throws {VmError} `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'long', pc: true, memoryBytes: 2 ** 20, screen: { width: 640, height: 480 },
   *   payload: guests.hello,
   * })
   * vm.memory.writeUint32(0xf000_0000, 0xff8040) // red, green, blue
   * console.log(vm.screen?.pixels().subarray(0, 4)) // Uint8Array(4) [ 255, 128, 64, 255 ]
   * ```
   */
  pixels(): Uint8Array {
    const pixels = new Uint8Array(this.width * this.height * 4)
    const failure = this.#machine.drawScreen(pixels)
    return failure ? raise(fromFailure(failure)) : pixels
  }

  /**
   * The same as a PNG file.
   *
   * @throws {VmError} `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * import { writeFileSync } from 'node:fs'
   * import { VirtualMachine, guests } from 'vmexit'
   *
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * const png = vm.screen!.png()
   * writeFileSync('screen.png', png)
   * console.log(png.subarray(0, 4)) // Uint8Array(4) [ 137, 80, 78, 71 ]
   * ```
   */
  png(): Uint8Array {
    return encodePng(this.width, this.height, this.pixels())
  }

  /**
   * Waits until something shows: a text, or what a regular expression matches, anywhere in the
   * lines of a text screen, joined by newlines and without blanks at their ends; or
   * until a function says so, on a screen of either kind. It keeps the process alive. Resolves with
   * the match of an expression, otherwise with `null`.
   *
   * Rejects with `ERR_TIMEOUT`, whose message has the screen's text; with `ERR_VM_CLOSED`; with
   * `ERR_INVALID_OPTION` for a text on a screen of pixels; with what the function throws.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * setTimeout(() => vm.memory.write(0xb8000, Buffer.from('4 2 ')), 50)
   * const match = await vm.screen?.waitFor(/\d+/, { timeoutMs: 1000 })
   * console.log(match?.[0]) // 42
   * ```
   */
  async waitFor(
    expected: string | RegExp | ((screen: Screen) => boolean),
    options: ScreenWaitOptions = {},
  ): Promise<RegExpExecArray | null> {
    const { timeoutMs } = checkShape('options', options, waitShape, '')
    const find = this.#finder(checkExpected(expected))
    let match: RegExpExecArray | null = null
    const found = (): boolean => {
      if (this.#isClosed) raise(closed())
      const seen = find()
      if (typeof seen === 'object') match = seen
      return Boolean(seen)
    }
    await this.#waiting.until(found, timeoutMs, () => this.#describe(expected, timeoutMs))
    return match
  }

  /**
   * Serves the screen to viewers of VNC, which also type: at a Unix socket for this user only, or
   * at a port of 127.0.0.1 with a password. A socket that nobody serves any more is replaced.
   *
   * Rejects with `ERR_INVALID_OPTION` naming what cannot be listened on, and with `ERR_VM_CLOSED`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello,
   * })
   * await using server = await vm.screen!.listen({ port: 0, password: 'secret' })
   * console.log(server.address) // 127.0.0.1:…
   * ```
   */
  async listen(options: ListenOptions): Promise<ScreenServer> {
    if (this.#isClosed) raise(closed())
    const service = { screen: this, keyboard: this.#keyboard(), name: 'vmexit' }
    const server = await listen(service, options, this.#servers)
    if (!this.#isClosed) return server
    await server.close()
    return raise(closed())
  }

  /** @internal */
  override on(event: 'change', listener: () => void): this {
    super.on(event, listener)
    this.#consider()
    return this
  }

  /** @internal */
  override addListener(event: 'change', listener: () => void): this {
    return this.on(event, listener)
  }

  #finder(expected: Expected): () => RegExpExecArray | boolean | null {
    if (typeof expected === 'function') return () => expected(this)
    const joined = (): string => joinedLines(this.text())
    if (typeof expected === 'string') return () => joined().includes(expected)
    // One that remembers where it was would miss what shows before.
    const expression = new RegExp(expected.source, expected.flags.replaceAll(/[gy]/g, ''))
    return () => expression.exec(joined())
  }

  #describe(expected: Expected, timeoutMs: number): string {
    const what = typeof expected === 'function' ? 'what was waited for' : String(expected)
    const shows = this.kind === 'text' ? `; it shows:\n${joinedLines(this.text())}` : ''
    return `the screen did not show ${what} within ${timeoutMs} ms${shows}`
  }

  /** Looks as long as somebody listens. What looks does not keep the screen. */
  #consider(): void {
    if (this.#timer || this.#isClosed || this.listenerCount('change') === 0) return
    this.#look()
    const screen = new WeakRef(this)
    const timer = outside(() =>
      setInterval(() => {
        const it = screen.deref()
        if (it && it.listenerCount('change') > 0) it.#emitChange()
        else {
          clearInterval(timer)
          if (it) it.#timer = undefined
        }
      }, lookMs).unref(),
    )
    this.#timer = timer
  }

  #emitChange(): void {
    if (this.#look()) this.emit('change')
  }

  /** Whether something else shows than at the last look. */
  #look(): boolean {
    const looked = this.#machine.lookAtScreen(this.#last)
    return looked === true
  }

  #close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#waiting.cut()
    for (const server of this.#servers) void server.close()
  }
}

/** The screen of a machine that has one. */
export function screenOf(machine: NativeMachine, keyboard: () => KeySink): Screen | undefined {
  const kind = machine.screenKind()
  if (!kind) return undefined
  const { isText, size, lookBytes } = kind
  return new Screen(machine, keyboard, isText, size.width, size.height, lookBytes)
}

function closed(): VmError {
  return new VmError('ERR_VM_CLOSED', 'the machine is closed')
}

function joinedLines(lines: readonly string[]): string {
  const joined = lines.map((line) => line.trimEnd()).join('\n')
  return joined.trimEnd()
}

function checkExpected(value: unknown): Expected {
  if (typeof value === 'string' || typeof value === 'function' || types.isRegExp(value))
    return value as Expected
  return invalid('expected', 'a string, a regular expression or a function', value)
}
