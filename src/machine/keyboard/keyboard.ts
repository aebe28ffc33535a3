import { setTimeout } from 'node:timers'

import { checkString, checkWord } from '../../options/check.ts'
import { checkShape, otherwise } from '../../options/shape.ts'
import { outside } from '../../native/context.ts'
import { VmError, fail, raise } from '../../native/errors.ts'
import { LoopHold } from '../../native/loop.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { RunControl } from '../run/run-control.ts'
import { RunPromise } from '../run/run-promise.ts'
import { keysOfChord } from './chord.ts'
import { checkCode, downCodes, upCodes } from './codes.ts'
import { type KeyboardLayout, type Strokes, layoutNames, strokesFor } from './layouts.ts'

/**
 * How a text is typed.
 *
 * @category Devices
 */
export interface TypeOptions {
  /** The layout that the guest has set; `'us'` by default. */
  layout?: KeyboardLayout
}

const typeShape = {
  layout: otherwise<KeyboardLayout>('us', (name, value) => checkWord(name, value, layoutNames)),
}

/** The most codes that wait in the machine. */
const { maxKeyboardCodes: mostInside } = native.limits()

/** The most that wait here for space in there. */
const mostOutside = 1024 * 1024

/** How soon to look whether the guest has read, and how seldom at last if it does not. */
const soonMs = 1
const seldomMs = 16

/** Codes that go to the guest together, and who waits until it has read them. */
interface Typed {
  readonly codes: Uint8Array
  /** How many of them the machine has taken. */
  taken: number
  /** What the machine has taken with the last of them. */
  end: number
  /** Somebody waits for the promise, or it is settled. */
  isAwaited: boolean
  isSettled: boolean
  readonly resolve: () => void
  readonly reject: (error: VmError) => void
}

/**
 * The keyboard of a PC. Its keys send the codes of set 1, as a PS/2 controller translates them. Up
 * to 65,536 codes wait in the machine until the guest reads them, and belong to its snapshots; what
 * is typed beyond that waits outside, up to 1 MiB of codes.
 *
 * @example
 * ```ts
 * // Polls for a code and reads it, until Enter is released; then it halts.
 * const image = Uint8Array.of(
 *   ...[0xe4, 0x64, 0xa8, 1, 0x74, 0xfa, 0xe4, 0x60, 0x3c, 0x9c, 0x75, 0xf4, 0xf4],
 * )
 * using vm = new VirtualMachine({
 *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
 * })
 * void vm.run()
 * await vm.keyboard.type('hi\n')
 * console.log('it has read that') // it has read that
 * ```
 *
 * @category Devices
 */
export class Keyboard {
  readonly #machine: NativeMachine
  readonly #control: RunControl
  readonly #hold = new LoopHold()
  /** What the machine has not taken whole, oldest first. */
  readonly #outside: Typed[] = []
  /** What it has taken and the guest has not read, oldest first. */
  readonly #unread: Typed[] = []
  /** How many of both are awaited. */
  #awaited = 0
  /** All codes that the machine has taken. */
  #taken: number
  /** Codes that it has not taken. */
  #waiting = 0
  #lookMs = soonMs
  #isLooking = false

  /** @internal */
  constructor(machine: NativeMachine, control: RunControl) {
    this.#machine = machine
    this.#control = control
    this.#taken = machine.keyboardUnread()
    control.listen({
      changed: () => this.#look(),
      restored: () => this.#restored(),
      closed: () => this.#drop(closed),
    })
  }

  /**
   * Presses and releases the keys for a text, one after the other. Resolves when the guest has read
   * the last code; without a run it waits for the next one. Line ends are Enter; tab, backspace and
   * escape have keys, too.
   *
   * Rejects with `ERR_INVALID_OPTION` for characters without a key, and nothing is typed;
   * `ERR_LIMIT` if too much waits already; `ERR_VM_CLOSED`; `ERR_SNAPSHOT` if `vm.restore()` takes
   * back what was typed. If nobody awaits it, that is no unhandled rejection.
   *
   * @param text - Characters that the layout has.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: guests.hello,
   * })
   * await vm.keyboard.type('日').catch((error) => console.log(error.code)) // ERR_INVALID_OPTION
   * ```
   */
  type(text: string, options: TypeOptions = {}): Promise<void> {
    return this.#send(() => {
      const { layout } = checkShape('options', options, typeShape)
      return strokesFor(checkString('text', text), layout).flatMap(codesOfStrokes)
    })
  }

  /**
   * Presses keys together, and releases them: modifiers (`ctrl`, `shift`, `alt`, `altgr`, `meta`)
   * and one key, joined by `+`. A key is a character of the layout, a name of
   * `KeyboardEvent.code`, or `esc`, `del`, `up` and the like. It resolves and rejects as `type`.
   *
   * @example
   * ```ts
   * // in al, 0x60; hlt
   * const image = Uint8Array.of(0xe4, 0x60, 0xf4)
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
   * })
   * void vm.keyboard.press('ctrl+alt+delete')
   * const { registers } = await vm.run({ timeoutMs: 50 })
   * console.log((registers.rax & 0xffn).toString(16)) // 1d
   * ```
   */
  press(keys: string, options: TypeOptions = {}): Promise<void> {
    return this.#send(() => {
      const { layout } = checkShape('options', options, typeShape)
      return codesOfChord(keysOfChord(checkString('keys', keys), layout))
    })
  }

  /**
   * Presses a key and keeps it down; the guest gets it a second time if it is down already, as when
   * a key repeats.
   *
   * @param code - The key as `KeyboardEvent.code` names it: `'KeyA'`, `'Enter'`, `'ShiftLeft'`.
   * @throws {VmError} `ERR_INVALID_OPTION`, `ERR_VM_CLOSED`, `ERR_LIMIT` if too much waits already.
   *
   * @example
   * ```ts
   * // in al, 0x60; hlt
   * const image = Uint8Array.of(0xe4, 0x60, 0xf4)
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
   * })
   * vm.keyboard.down('KeyA')
   * const { registers } = await vm.run({ timeoutMs: 50 })
   * console.log((registers.rax & 0xffn).toString(16)) // 1e
   * ```
   */
  down(code: string): void {
    this.#put(downCodes(checkCode('code', code)))
  }

  /**
   * Releases a key.
   *
   * @param code - As of `down`.
   * @throws {VmError} As `down`.
   *
   * @example
   * ```ts
   * // in al, 0x60; hlt
   * const image = Uint8Array.of(0xe4, 0x60, 0xf4)
   * using vm = new VirtualMachine({
   *   mode: 'real', pc: true, memoryBytes: 2 ** 20, payload: { image },
   * })
   * vm.keyboard.up('KeyA')
   * const { registers } = await vm.run({ timeoutMs: 50 })
   * console.log((registers.rax & 0xffn).toString(16)) // 9e
   * ```
   */
  up(code: string): void {
    this.#put(upCodes(checkCode('code', code)))
  }

  #send(codes: () => readonly number[]): Promise<void> {
    let typed: Typed | undefined
    const promise = RunPromise.make<void>(
      (resolve, reject) => {
        typed = this.#add(codes(), resolve, reject)
      },
      () => {
        if (typed) this.#await(typed)
      },
    )
    promise.catch(ignore)
    return promise
  }

  /** Codes for which nobody waits, all of them or none. */
  #put(codes: readonly number[]): void {
    if (this.#control.isClosed) return raise(closed())
    const unread = this.#machine.keyboardUnread()
    if (this.#outside.length > 0 || unread + codes.length > mostInside)
      return tooMany(unread + this.#waiting, codes.length)
    this.#taken += this.#machine.keyboardInput(Uint8Array.from(codes))
  }

  #add(codes: readonly number[], resolve: () => void, reject: (error: VmError) => void): Typed {
    if (this.#control.isClosed) return raise(closed())
    if (this.#waiting + codes.length > mostOutside) return tooMany(this.#waiting, codes.length)
    const typed: Typed = {
      codes: Uint8Array.from(codes),
      taken: 0,
      end: 0,
      isAwaited: false,
      isSettled: false,
      resolve,
      reject,
    }
    this.#waiting += codes.length
    this.#outside.push(typed)
    this.#look()
    return typed
  }

  #await(typed: Typed): void {
    if (typed.isAwaited || typed.isSettled) return
    typed.isAwaited = true
    this.#awaited++
    this.#consider()
  }

  /** Gives the machine what it has space for, and settles what the guest has read. */
  #look(): void {
    // A closed machine has read nothing.
    if (this.#isIdle || this.#control.isClosed) return
    let fed = 0
    while (fed < this.#outside.length && this.#feed(this.#outside[fed]!)) fed++
    for (const typed of this.#outside.splice(0, fed)) this.#unread.push(typed)
    const read = this.#taken - this.#machine.keyboardUnread()
    let done = 0
    while (done < this.#unread.length && this.#unread[done]!.end <= read) done++
    for (const typed of this.#unread.splice(0, done)) {
      if (typed.isAwaited) this.#awaited--
      typed.isSettled = true
      typed.resolve()
    }
    if (fed + done > 0) this.#lookMs = soonMs
    this.#consider()
    this.#lookLater()
  }

  get #isIdle(): boolean {
    return this.#outside.length + this.#unread.length === 0
  }

  /** Whether the machine has taken all of it. */
  #feed(typed: Typed): boolean {
    const rest = typed.codes.subarray(typed.taken)
    const taken = rest.length === 0 ? 0 : this.#machine.keyboardInput(rest)
    typed.taken += taken
    this.#taken += taken
    this.#waiting -= taken
    if (taken > 0) this.#lookMs = soonMs
    typed.end = this.#taken
    return taken === rest.length
  }

  /** While a run may read and somebody waits, the event loop goes on. */
  #consider(): void {
    if (this.#awaited > 0 && this.#control.mayWait) this.#hold.take(this)
    else this.#hold.release()
  }

  #lookLater(): void {
    if (this.#isLooking || this.#isIdle || !this.#control.mayWait) return
    this.#isLooking = true
    // The guest may never read: that keeps neither the process nor the machine.
    const self = new WeakRef(this)
    outside(() => setTimeout(() => Keyboard.#lookAgain(self.deref()), this.#lookMs).unref())
    this.#lookMs = Math.min(2 * this.#lookMs, seldomMs)
  }

  static #lookAgain(keyboard: Keyboard | undefined): void {
    if (!keyboard) return
    keyboard.#isLooking = false
    keyboard.#look()
  }

  #restored(): void {
    this.#drop(restored)
    this.#taken = this.#machine.keyboardUnread()
  }

  #drop(why: () => VmError): void {
    const all = [...this.#unread.splice(0), ...this.#outside.splice(0)]
    this.#waiting = 0
    this.#awaited = 0
    for (const typed of all) {
      typed.isSettled = true
      typed.reject(why())
    }
    this.#consider()
  }
}

function codesOfStrokes({ held, key, next }: Strokes): number[] {
  const codes = codesOfChord([...held, key])
  return next ? [...codes, ...codesOfChord([next])] : codes
}

/** All go down, and then up in the other order. */
function codesOfChord(keys: readonly string[]): number[] {
  return [...keys.flatMap(downCodes), ...keys.toReversed().flatMap(upCodes)]
}

function tooMany(waiting: number, more: number): never {
  return fail(
    'ERR_LIMIT',
    `${waiting} codes wait for the guest to read already, and ${more} more are too many`,
  )
}

function closed(): VmError {
  return new VmError('ERR_VM_CLOSED', 'the machine is closed')
}

function restored(): VmError {
  return new VmError('ERR_SNAPSHOT', 'vm.restore() has taken back what was typed')
}

function ignore(): void {}
