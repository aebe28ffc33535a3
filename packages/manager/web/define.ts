import { api } from './api.ts'
import { make, note, setText } from './dom.ts'

const MIB = 1024 * 1024

const example = {
  name: 'my-machine',
  mode: 'long',
  pc: true,
  memoryBytes: 256 * MIB,
  payload: { file: '/path/to/kernel' },
}

interface Field {
  readonly label: string
  readonly read: (definition: Definition) => string
  readonly write: (definition: Definition, text: string) => void
  readonly type?: string
}

type Definition = Record<string, unknown> & { payload?: Record<string, unknown> }

/** Sets a key, or takes it away. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (value === '' || value === undefined) delete object[key]
  else object[key] = value
}

const fields: readonly Field[] = [
  {
    label: 'Name',
    read: ({ name }) => String(name ?? ''),
    write: (definition, text) => put(definition, 'name', text),
  },
  {
    label: 'Kernel (absolute path)',
    read: ({ payload }) => String(payload?.['file'] ?? ''),
    write: (definition, text) => put((definition.payload ??= {}), 'file', text),
  },
  {
    label: 'Command line',
    read: ({ payload }) => String(payload?.['commandLine'] ?? ''),
    write: (definition, text) => put((definition.payload ??= {}), 'commandLine', text),
  },
  {
    label: 'Memory (MiB)',
    type: 'number',
    read: ({ memoryBytes }) => String(Number(memoryBytes ?? 0) / MIB),
    write: (definition, text) => put(definition, 'memoryBytes', Number(text) * MIB),
  },
]

/** Where the key that a message names is in a text: the server's paths are `machine.a.b[0]`. */
function placeOf(message: string, json: string): readonly [number, number] | undefined {
  const path = /^[A-Za-z]\w*((?:\.[\w-]+|\[\d+\])*)/.exec(message)?.[1] ?? ''
  const named = /has no key "?([\w-]+)/.exec(message)?.[1]
  const keys = [...path.matchAll(/\.([\w-]+)/g)].map(([, key]) => key as string)
  if (named !== undefined) keys.push(named)
  let place: readonly [number, number] | undefined
  let from = 0
  for (const key of keys) {
    const at = json.indexOf(`"${key}"`, from)
    if (at < 0) break
    from = at + key.length + 2
    place = [at, from]
  }
  return place
}

/** What is wrong with the JSON, and where. */
function parsed(json: string): Definition {
  const value: unknown = JSON.parse(json)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Definition
  throw new SyntaxError('a definition is an object')
}

class DefineDialog {
  readonly #dialog = make('dialog', { class: 'define', attributes: { 'aria-label': 'Define' } })
  readonly #json = make('textarea', { attributes: { 'aria-label': 'JSON', spellcheck: 'false' } })
  readonly #wrong = make('p', { class: 'wrong', attributes: { role: 'alert', id: 'wrong' } })
  readonly #inputs: HTMLInputElement[] = []
  readonly #done: () => void

  constructor(json: string, done: () => void) {
    this.#done = done
    this.#json.value = json
    const labels = fields.map((field) => this.#field(field))
    const close = (): void => this.#dialog.close()
    const define = (): void => void this.#define()
    this.#dialog.append(
      make('h2', { text: 'Define a machine' }),
      make('div', { class: 'fields' }, ...labels),
      this.#json,
      this.#wrong,
      make(
        'div',
        { class: 'buttons' },
        make('button', { text: 'Cancel', click: close }),
        make('button', { class: 'primary', text: 'Define', click: define }),
      ),
    )
    this.#json.addEventListener('input', () => this.#fill())
    this.#dialog.addEventListener('close', () => this.#dialog.remove())
    this.#fill()
    document.body.append(this.#dialog)
    this.#dialog.showModal()
  }

  #field({ label, type = 'text', write }: Field): HTMLElement {
    const input = make('input', { attributes: { type } })
    this.#inputs.push(input)
    input.addEventListener('input', () => {
      try {
        const definition = parsed(this.#json.value)
        write(definition, input.value)
        this.#json.value = JSON.stringify(definition, undefined, 2)
      } catch (error) {
        this.#refuse((error as Error).message)
      }
    })
    return make('label', {}, label, input)
  }

  /** What the JSON says, into the form. */
  #fill(): void {
    this.#refuse('')
    try {
      const definition = parsed(this.#json.value)
      for (const [index, { read }] of fields.entries())
        (this.#inputs[index] as HTMLInputElement).value = read(definition)
    } catch {
      // It is being written.
    }
  }

  #refuse(message: string): void {
    const place = placeOf(message, this.#json.value)
    const line = place && this.#json.value.slice(0, place[0]).split('\n').length
    setText(this.#wrong, line === undefined ? message : `Line ${line}: ${message}`)
    this.#json.toggleAttribute('aria-invalid', message !== '')
    if (!place) return
    this.#json.focus()
    this.#json.setSelectionRange(...place)
  }

  async #define(): Promise<void> {
    try {
      const definition = parsed(this.#json.value)
      await api('POST', '/v1/machines', { definition })
      note(`${String(definition['name'])} is defined`, 'done')
      this.#dialog.close()
      this.#done()
    } catch (error) {
      this.#refuse((error as Error).message)
    }
  }
}

/** Opens the dialog that defines a machine, from a definition or an example. */
export function openDefine(done: () => void, json = JSON.stringify(example, undefined, 2)): void {
  void new DefineDialog(json, done)
}
