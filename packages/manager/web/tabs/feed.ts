import type { Terminal } from '../vendor/xterm/xterm.mjs'

/** Bytes that wait for the terminal; what comes beyond is left out. */
const maxWaiting = 1024 * 1024
/** A part takes the terminal about so long, and afterwards the page has as long for the rest. */
const partMs = 8
const minPart = 16
const maxPart = 64 * 1024
const maxRestMs = 100
/** Letters that a screen reader is told at once. */
const maxSpoken = 8 * 1024

/** Sequences that a terminal does as often as they say, one by one, for lines and for columns. */
const counting = { rows: ['L', 'M', 'S', 'T'], cols: ['I', 'Z', 'b'] } as const
/** Sequences for what is not the text's: titles, colours of the page, links, the clipboard. */
const reaching = [0, 1, 2, 4, 8, 10, 11, 12, 52, 104, 110, 111, 112]

/** Letters that go into the place of the one before them; a place takes a few. */
const marks = /([\p{M}\p{Cf}\u1160-\u11FF]{8})[\p{M}\p{Cf}\u1160-\u11FF]+/gu
const lastMarks = /[\p{M}\p{Cf}\u1160-\u11FF]{0,8}$/u

/** What a guest says, on its way into a terminal: it costs the page no more than a part of it. */
export class Feed {
  readonly #terminal: Terminal
  readonly #decoder = new TextDecoder()
  #waiting: Uint8Array[] = []
  #bytes = 0
  #left = 0
  #part = 4096
  #marks = ''
  #isBusy = false
  #resting: ReturnType<typeof setTimeout> | undefined

  /** Into this terminal, which does not carry out what would cost more than its view. */
  constructor(terminal: Terminal) {
    this.#terminal = terminal
    for (const what of ['rows', 'cols'] as const)
      for (const final of counting[what])
        terminal.parser.registerCsiHandler({ final }, ([count]) => Number(count) > terminal[what])
    for (const code of reaching) terminal.parser.registerOscHandler(code, () => true)
  }

  /** Bytes that were left out. */
  get left(): number {
    return this.#left
  }

  /** Takes what came; it is shown when its turn comes, unless too much waits. */
  write(bytes: Uint8Array): void {
    if (this.#bytes > maxWaiting) {
      this.#left += bytes.length
      return
    }
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    if (!this.#isBusy) this.#next()
  }

  /** Forgets what waits. */
  stop(): void {
    this.#waiting = []
    this.#bytes = 0
    if (this.#resting === undefined) return
    clearTimeout(this.#resting)
    this.#rested()
  }

  #rested(): void {
    this.#resting = undefined
    this.#next()
  }

  #next(): void {
    const bytes = this.#take()
    this.#isBusy = bytes !== undefined
    if (!bytes) return
    const began = performance.now()
    this.#terminal.write(this.#tame(this.#decoder.decode(bytes, { stream: true })), () => {
      const ms = performance.now() - began
      if (ms > 2 * partMs) this.#part = Math.max(minPart, this.#part / 2)
      else if (ms < partMs) this.#part = Math.min(maxPart, this.#part * 2)
      this.#hush()
      if (ms < partMs) this.#next()
      else this.#resting = setTimeout(() => this.#rested(), Math.min(ms, maxRestMs))
    })
  }

  #take(): Uint8Array | undefined {
    const [first] = this.#waiting
    if (!first) return undefined
    const part = first.subarray(0, this.#part)
    if (part.length === first.length) this.#waiting.shift()
    else this.#waiting[0] = first.subarray(part.length)
    this.#bytes -= part.length
    return part
  }

  /** Without the marks that a place does not take; some of it may have come before. */
  #tame(text: string): string {
    const whole = (this.#marks + text).replace(marks, '$1')
    const tame = whole.slice(this.#marks.length)
    this.#marks = lastMarks.exec(whole)?.[0] ?? ''
    return tame
  }

  /** The terminal keeps what a screen reader is told until a line ends, which need not come. */
  #hush(): void {
    const region = this.#terminal.element?.querySelector('.live-region')
    if (region && Number(region.textContent?.length) > maxSpoken) region.textContent = ''
  }
}
