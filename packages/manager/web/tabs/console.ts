import { FitAddon } from '../vendor/xterm/addon-fit.mjs'
import { Terminal } from '../vendor/xterm/xterm.mjs'

import { type Machine, socketUrl } from '../api.ts'
import { bytesText, make, setText } from '../dom.ts'
import { dropSheets, strictDocument, strictly } from './document.ts'
import { Feed } from './feed.ts'
import { isAlive, type MakeTab } from './tab.ts'

const maxMessage = 64 * 1024
/** Bytes that wait for a machine that does not read; a guest may ask for more than it reads. */
const maxTyped = 1024 * 1024

/** The serial port. */
class Console {
  readonly element = make('div', { class: 'console' })
  readonly #says = make('p', { class: 'says', attributes: { role: 'status' } })
  readonly #place = make('div', { class: 'terminal' })
  readonly #sheets = new Set<CSSStyleSheet>()
  readonly #terminal = new Terminal({
    documentOverride: strictDocument(this.#sheets),
    fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
    fontSize: 13,
    // It would tell of each sequence that is none.
    logLevel: 'off',
    scrollback: 5000,
    screenReaderMode: true,
    theme: { background: '#12151b', foreground: '#e4e8ef', cursor: '#7aa2ff' },
  })
  readonly #fit = new FitAddon()
  readonly #resized = new ResizeObserver(() => this.#fit.fit())
  readonly #url: string
  #socket: WebSocket | undefined
  #process: number | undefined
  readonly #feed = new Feed(this.#terminal)

  constructor(name: string) {
    this.#url = socketUrl(name, 'serial')
    this.element.append(this.#says, this.#place)
    this.#terminal.loadAddon(this.#fit)
    this.#terminal.onData((text) => this.#type(new TextEncoder().encode(text)))
    this.#terminal.onBinary((text) =>
      this.#type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))),
    )
    // It measures letters: the place must be in the page.
    requestAnimationFrame(() => {
      if (!this.#place.isConnected) return
      strictly(this.#sheets, () => this.#terminal.open(this.#place))
      this.#resized.observe(this.#place)
      this.#terminal.focus()
    })
  }

  /** Connects when there is a process that it was not connected to. */
  update(machine: Machine): void {
    if (!isAlive(machine)) {
      setText(this.#says, `The machine does not run (${machine.state}).`)
      return
    }
    if (this.#process === machine.pid && this.#socket) return
    this.#process = machine.pid
    this.#connect()
  }

  /** Ends it. */
  stop(): void {
    this.#resized.disconnect()
    this.#leave()
    this.#feed.stop()
    this.#terminal.dispose()
    dropSheets(this.#sheets)
  }

  #leave(): void {
    const socket = this.#socket
    this.#socket = undefined
    // A browser complains of one that is closed before it was open.
    if (socket?.readyState === WebSocket.CONNECTING)
      socket.addEventListener('open', () => socket.close())
    else socket?.close()
  }

  #connect(): void {
    this.#leave()
    this.#feed.stop()
    this.#terminal.reset()
    const socket = new WebSocket(this.#url)
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    setText(this.#says, 'Connecting…')
    socket.addEventListener('open', () => {
      if (this.#socket === socket) setText(this.#says, 'Connected: what you type is sent.')
    })
    socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      if (this.#socket === socket) this.#hear(data)
    })
    socket.addEventListener('close', () => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      setText(this.#says, 'Not connected.')
    })
  }

  #hear(data: ArrayBuffer): void {
    this.#feed.write(new Uint8Array(data))
    const { left } = this.#feed
    if (left > 0) setText(this.#says, `Too fast to show: ${bytesText(left)} left out (see Log).`)
  }

  #type(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    if (this.#socket.bufferedAmount > maxTyped) return
    for (let at = 0; at < bytes.length; at += maxMessage)
      this.#socket.send(bytes.subarray(at, at + maxMessage))
  }
}

/** The serial port in a terminal. */
export const consoleTab: MakeTab = ({ name }) => {
  const console = new Console(name)
  return {
    element: console.element,
    update: (machine) => console.update(machine),
    stop: () => console.stop(),
  }
}
