import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { encodePng } from '../../../../src/machine/screen/png.ts'
import { type Image, fromXwd } from '../../../../__test__/fixtures/viewers/images.ts'
import { withClients } from './clients.ts'

/** Where pictures of a run are kept for a person to look at. */
const pictures = fileURLToPath(new URL('../../../../.cache/clients-pictures', import.meta.url))
const program = fileURLToPath(new URL('desktop.py', import.meta.url))
/** A rectangle of the screen: left, top, width and height. */
export type Box = readonly [number, number, number, number]

/** Something that a client shows, as assistive technology sees it. */
export interface Shown {
  /** How deep it stands in the tree; its children follow it. */
  readonly depth: number
  /** What it is, such as `push button`. */
  readonly role: string
  readonly name: string
  /** Whether it can be seen. */
  readonly showing: boolean
  /** Whether it can be used. */
  readonly sensitive: boolean
  readonly checked: boolean
  readonly focused: boolean
  readonly box: Box
  /** What is written in it, where it holds text. */
  readonly text?: string
}

/** Which of them: all that is given must be so. */
export interface Wanted {
  readonly role?: string
  /** Its whole name, or what matches it. */
  readonly name?: string | RegExp
  /** What its text contains. */
  readonly text?: string | RegExp
  /** The title of the window in which it is. */
  readonly window?: string | RegExp
  readonly sensitive?: boolean
}

/** How long a click is given to show its effect before the next one. */
const patienceMs = 10_000

const windows = new Set(['frame', 'dialog', 'alert', 'window'])

const fits = (value: string | undefined, wanted: string | RegExp | undefined): boolean =>
  wanted === undefined ||
  (value !== undefined && (typeof wanted === 'string' ? value === wanted : wanted.test(value)))

/**
 * An X server without a screen, a session bus and the clients in it, all in one namespace of
 * processes: nothing of it outlives the object.
 */
export class Desktop implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'vmexit-desktop-'))
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>
  #said = ''
  #last: Promise<unknown> = Promise.resolve()

  private constructor([command, ...args]: readonly string[]) {
    this.#child = spawn(command!, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: {
        ...process.env,
        HOME: this.folder,
        XDG_RUNTIME_DIR: this.folder,
        GSETTINGS_BACKEND: 'memory',
        LC_ALL: 'C.UTF-8',
        PYTHONDONTWRITEBYTECODE: '1',
      },
    })
    this.#child.on('error', (error) => (this.#said += error.message))
    this.#child.stdin!.on('error', () => undefined)
    this.#child.stderr!.on('data', (text: Buffer) => {
      this.#said = (this.#said + text).slice(-16_000)
    })
    this.#answers = createInterface(this.#child.stdout!)[Symbol.asyncIterator]()
  }

  /** Starts one. */
  static async open(): Promise<Desktop> {
    const flags = ['--pid', '--fork', '--kill-child', '--mount-proc']
    const desktop = new Desktop(await withClients(['/usr/bin/python3', program], flags))
    try {
      await desktop.#ask('open', { folder: desktop.folder })
    } catch (error) {
      desktop[Symbol.dispose]()
      throw error
    }
    return desktop
  }

  /** What all programs in it said on stdout and stderr, the end of it. */
  get said(): string {
    return this.#said
  }

  /** Starts a client and returns its number. */
  async start(words: readonly string[], env: Record<string, string> = {}): Promise<number> {
    const { pid } = await this.#ask('start', { words, env })
    return pid as number
  }

  /** The exit code of a client, null while it runs. */
  async code(pid: number): Promise<number | null> {
    return (await this.#ask('code', { pid }))['code'] as number | null
  }

  /** Everything that clients show. */
  async look(): Promise<readonly Shown[]> {
    return (await this.#ask('look', {}))['nodes'] as Shown[]
  }

  /** Those of it that can be seen and are wanted. */
  async all(wanted: Wanted): Promise<readonly Shown[]> {
    let window: Shown | undefined
    const found: Shown[] = []
    for (const node of await this.look()) {
      if (windows.has(node.role) && node.depth === 2) window = node
      const isWanted =
        node.showing &&
        (wanted.role === undefined || wanted.role === node.role) &&
        (wanted.sensitive === undefined || wanted.sensitive === node.sensitive) &&
        fits(node.name, wanted.name) &&
        fits(node.text, wanted.text) &&
        fits(window?.name, wanted.window)
      if (isWanted) found.push(node)
    }
    return found
  }

  /** Waits for the first that is wanted. */
  async find(wanted: Wanted, limitMs = 300_000): Promise<Shown> {
    const end = performance.now() + limitMs
    for (;;) {
      const [node] = await this.all(wanted)
      if (node !== undefined) return node
      if (performance.now() > end) {
        this.keep('failed')
        const parts = [wanted.role, wanted.name, wanted.text, wanted.window].map(String)
        throw new Error(`nothing shown as ${parts.join(', ')}:\n${await this.tree()}`)
      }
      await sleep(100)
    }
  }

  /** What is shown as text, for a test that fails. */
  async tree(): Promise<string> {
    const lines = (await this.look())
      .filter(({ showing, depth }) => showing || depth < 2)
      .map(({ depth, role, name, text }) =>
        [' '.repeat(depth), role, JSON.stringify(name), JSON.stringify(text)?.slice(0, 200)].join(
          ' ',
        ),
      )
    return `${lines.join('\n')}\n${this.#said}`
  }

  /** Clicks where something is. */
  async click(wanted: Wanted | Shown, clicks = 1): Promise<Shown> {
    const node = 'box' in wanted ? wanted : await this.find(wanted)
    const [left, top, width, height] = node.box
    const at = [left + width / 2, top + height / 2].map((value) => String(Math.floor(value)))
    const press = ['click', '--repeat', String(clicks), '--delay', '50', '1']
    await this.input('mousemove', ...at, ...press)
    return node
  }

  /**
   * Clicks where something is until something else is shown, which it returns: on a busy host a
   * click may come before what it is for.
   */
  async clickFor(wanted: Wanted, effect: Wanted, limitMs = 300_000): Promise<Shown> {
    const end = performance.now() + limitMs
    await this.find(wanted, limitMs)
    for (;;) {
      const [target] = await this.all(wanted)
      if (target !== undefined) await this.click(target)
      const left = end - performance.now()
      try {
        return await this.find(effect, Math.min(left, patienceMs))
      } catch (error) {
        if (left < patienceMs) throw error
      }
    }
  }

  /** Gives xdotool(1) its words. */
  async input(...words: string[]): Promise<void> {
    await this.#ask('input', { words })
  }

  /** Presses keys, by their names in X, where the pointer is. */
  press(...names: string[]): Promise<void> {
    return this.input('key', '--delay', '30', ...names)
  }

  /** Types a text where the pointer is. */
  type(text: string): Promise<void> {
    return this.input('type', '--delay', '30', text)
  }

  /** What the X server shows, or a part of it. */
  picture(box?: Box): Image {
    const whole = fromXwd(readFileSync(join(this.folder, 'Xvfb_screen0')))
    return box === undefined ? whole : crop(whole, box)
  }

  /** Keeps what the X server shows as a PNG file, which it names. */
  keep(name: string): string {
    const { width, height, words } = this.picture()
    const pixels = new Uint8Array(width * height * 4)
    for (const [at, word] of words.entries()) {
      pixels.set([word >> 16, (word >> 8) & 0xff, word & 0xff, 255], at * 4)
    }
    mkdirSync(pictures, { recursive: true })
    const file = join(pictures, `${name}.png`)
    writeFileSync(file, encodePng(width, height, pixels))
    return file
  }

  /** Requests are answered in their order, one at a time. */
  #ask(method: string, request: object): Promise<Record<string, unknown>> {
    const answer = this.#last.then(async () => {
      this.#child.stdin!.write(`${JSON.stringify({ method, ...request })}\n`)
      const { done, value } = await this.#answers.next()
      if (done) throw new Error(`the desktop has ended: ${this.#said}`)
      const { result, error } = JSON.parse(value) as {
        result: Record<string, unknown>
        error?: string
      }
      if (error !== undefined) throw new Error(`${method}: ${error}\n${this.#said}`)
      return result
    })
    this.#last = answer.catch(() => undefined)
    return answer
  }

  [Symbol.dispose](): void {
    try {
      process.kill(-this.#child.pid!, 'SIGKILL')
    } catch {
      // It has ended, or never began.
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

/** A part of a picture. */
function crop(whole: Image, [left, top, width, height]: Box): Image {
  const words = new Uint32Array(width * height)
  for (let y = 0; y < height; y++) {
    const from = (top + y) * whole.width + left
    words.set(whole.words.subarray(from, from + width), y * width)
  }
  return { width, height, words }
}
