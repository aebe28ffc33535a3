import type { KeyOf } from './keysyms.ts'

/** Where keys go, by their `KeyboardEvent.code`. */
export interface KeySink {
  down(code: string): void
  up(code: string): void
}

const shifts = ['ShiftLeft', 'ShiftRight']

/** The keys of one keyboard that all viewers share: a key is down until the last has let it go. */
export class SharedKeys {
  readonly #sink: KeySink
  readonly #holders = new Map<string, number>()

  constructor(sink: KeySink) {
    this.#sink = sink
  }

  /** A viewer has pressed it, or its keyboard repeats it. */
  down(code: string, isRepeated: boolean): void {
    if (!isRepeated) this.#holders.set(code, (this.#holders.get(code) ?? 0) + 1)
    this.send('down', code)
  }

  /** A viewer that held it has let it go. */
  up(code: string): void {
    const others = this.#holders.get(code)! - 1
    if (others > 0) return void this.#holders.set(code, others)
    this.#holders.delete(code)
    this.send('up', code)
  }

  /** A key that the keyboard lacks, or has no room for, is lost, as with a real one. */
  send(what: 'down' | 'up', code: string): void {
    try {
      this.#sink[what](code)
    } catch {
      // The guest gets nothing.
    }
  }
}

/** The keys that one viewer holds. */
export class ViewerKeys {
  readonly #shared: SharedKeys
  readonly #held = new Set<string>()

  constructor(shared: SharedKeys) {
    this.#shared = shared
  }

  /** A key by its place. */
  press(code: string, isDown: boolean): void {
    const isHeld = this.#held.has(code)
    if (isDown) {
      this.#held.add(code)
      this.#shared.down(code, isHeld)
    } else if (isHeld) {
      this.#held.delete(code)
      this.#shared.up(code)
    }
  }

  /**
   * A key by its character. A viewer's layout may have it on another level than a US keyboard, so
   * Shift is pressed, or let go, for that moment.
   */
  type({ code, isShifted }: KeyOf, isDown: boolean): void {
    const held = shifts.filter((shift) => this.#held.has(shift))
    if (!isDown || isShifted === undefined || isShifted === held.length > 0) {
      return this.press(code, isDown)
    }
    const [before, after] = isShifted ? (['down', 'up'] as const) : (['up', 'down'] as const)
    const moved = isShifted ? ['ShiftLeft'] : held
    for (const shift of moved) this.#shared.send(before, shift)
    this.press(code, true)
    for (const shift of moved) this.#shared.send(after, shift)
  }

  /** The viewer is gone. */
  release(): void {
    for (const code of this.#held) this.#shared.up(code)
    this.#held.clear()
  }
}
