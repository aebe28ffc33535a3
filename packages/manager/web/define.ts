import { api } from './api.ts'
import { make, note, setText } from './dom.ts'
import { type Control, type Definition, type Field, fields } from './fields.ts'
import { placeOf } from './place.ts'

const example = {
  name: 'my-machine',
  pc: true,
  memoryBytes: 268_435_456,
  payload: { file: '/path/to/kernel' },
}

/** What the JSON says, if that is an object. */
function parsed(json: string): Definition {
  const value: unknown = JSON.parse(json)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Definition
  throw new SyntaxError('a definition is an object')
}

/** Shows a value; a choice that has no such word gets one. */
function fill(control: Control, value: string | boolean): void {
  if (control instanceof HTMLInputElement && control.type === 'checkbox') {
    control.checked = value === true
    return
  }
  const text = String(value)
  control.value = text
  if (control.value === text || !(control instanceof HTMLSelectElement)) return
  control.append(make('option', { text }))
  control.value = text
}

class DefineDialog {
  readonly #dialog = make('dialog', { class: 'define', attributes: { 'aria-labelledby': 'what' } })
  readonly #json = make('textarea', {
    class: 'json',
    attributes: { 'aria-label': 'JSON', spellcheck: 'false' },
  })
  readonly #wrong = make('p', { class: 'wrong', attributes: { role: 'alert', id: 'wrong' } })
  readonly #controls = new Map<Field, Control>()
  readonly #done: () => void
  /** Where the person writes: in the form, or in the JSON. */
  #isForm = true

  constructor(json: string, done: () => void) {
    this.#done = done
    this.#json.value = json
    const labels = fields.map((field) => this.#field(field))
    const close = (): void => this.#dialog.close()
    const define = (): void => void this.#define()
    const form = make('div', { class: 'fields' }, ...labels)
    const buttons = make(
      'div',
      { class: 'buttons' },
      make('button', { text: 'Cancel', click: close }),
      make('button', { class: 'primary', text: 'Define', click: define }),
    )
    this.#dialog.append(
      make('h2', { text: 'Define a machine', attributes: { id: 'what' } }),
      make('div', { class: 'halves' }, form, this.#json),
      make('div', { class: 'foot' }, this.#wrong, buttons),
    )
    form.addEventListener('focusin', () => (this.#isForm = true))
    this.#json.addEventListener('focus', () => (this.#isForm = false))
    this.#json.addEventListener('input', () => this.#fill())
    this.#dialog.addEventListener('close', () => this.#dialog.remove())
    this.#fill()
    document.body.append(this.#dialog)
    this.#dialog.showModal()
  }

  #field(field: Field): HTMLElement {
    const control = field.make()
    this.#controls.set(field, control)
    const isFlag = control instanceof HTMLInputElement && control.type === 'checkbox'
    control.addEventListener('input', () => {
      try {
        const definition = parsed(this.#json.value)
        field.write(definition, isFlag ? control.checked : control.value)
        this.#json.value = JSON.stringify(definition, undefined, 2)
        this.#mark('')
      } catch (error) {
        this.#refuse((error as Error).message)
      }
    })
    const parts = isFlag ? [control, field.label] : [field.label, control]
    return make('label', { class: isFlag ? 'switch' : '' }, ...parts)
  }

  /** What the JSON says, into the form. */
  #fill(): void {
    this.#mark('')
    try {
      const definition = parsed(this.#json.value)
      for (const [field, control] of this.#controls) fill(control, field.read(definition))
    } catch {
      // It is being written.
    }
  }

  /** Says what is wrong, and marks the fields that say so. */
  #mark(message: string, wrong: readonly Control[] = []): void {
    setText(this.#wrong, message)
    for (const control of [this.#json, ...this.#controls.values()]) {
      const isWrong = wrong.includes(control)
      control.toggleAttribute('aria-describedby', isWrong)
      if (isWrong) control.setAttribute('aria-describedby', 'wrong')
      if (isWrong) control.setAttribute('aria-invalid', 'true')
      else control.removeAttribute('aria-invalid')
    }
  }

  #refuse(message: string): void {
    const place = placeOf(message, this.#json.value)
    const path = `${place?.keys.join('.')}.`
    const control = [...this.#controls].find(([{ key }]) => path.startsWith(`${key}.`))?.[1]
    const said = place?.line === undefined ? message : `Line ${place.line}: ${message}`
    this.#mark(said, message === '' ? [] : control ? [this.#json, control] : [this.#json])
    if (place?.range) this.#json.setSelectionRange(...place.range)
    if (control && this.#isForm) control.focus()
    else if (place?.range) this.#json.focus()
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
