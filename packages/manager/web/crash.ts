import type { Machine } from './api.ts'
import { make } from './dom.ts'

/** Digits of a general register. */
const registerDigits = 16

/** What is said of a crash: by the guest's end, or by that of its process. */
function sentenceOf({ crash, reason = 'unknown' }: Machine): string {
  if (crash) return crash.sentence
  return /^SIG[A-Z0-9]+$/.test(reason) ? `its process was ended by ${reason}` : reason
}

/** Why a machine has crashed, as far as that is explained, with its registers. */
export class CrashReport {
  /** The place for it. */
  readonly element = make('section', {
    class: 'crash',
    attributes: { 'aria-label': 'Crash', tabindex: '0' },
  })
  #shown = ''

  /** Shows what is known. */
  update(machine: Machine): void {
    const isCrashed = machine.state === 'crashed'
    this.element.hidden = !isCrashed
    const key = JSON.stringify([machine.reason, machine.crash])
    if (!isCrashed || key === this.#shown) return
    this.#shown = key
    const registers = Object.entries(machine.crash?.registers ?? {})
    const list = registers.flatMap(([name, value]) => [
      make('dt', { text: name.toUpperCase() }),
      make('dd', { text: value.slice(2).padStart(registerDigits, '0') }),
    ])
    const explanation = machine.crash?.explanation
    const attributes = { tabindex: '0', 'aria-label': 'Explanation' }
    this.element.replaceChildren(
      make('p', { text: `Crashed: ${sentenceOf(machine)}.` }),
      ...(explanation === undefined ? [] : [make('pre', { text: explanation, attributes })]),
      ...(list.length > 0
        ? [make('dl', { class: 'registers', attributes: { 'aria-label': 'Registers' } }, ...list)]
        : []),
    )
  }
}
