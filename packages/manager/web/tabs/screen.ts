import RFB from '../vendor/novnc/core/rfb.js'

import { type Machine, socketUrl } from '../api.ts'
import { make, setText } from '../dom.ts'
import { isAlive, type MakeTab } from './tab.ts'

/** The screen, with keyboard and pointer. */
export const screenTab: MakeTab = ({ name }) => {
  const says = make('p', { class: 'says', attributes: { role: 'status' } })
  const place = make('div', { class: 'screen' })
  const keys = make('button', { text: 'Ctrl+Alt+Del', click: () => rfb?.sendCtrlAltDel() })
  const element = make('div', { class: 'viewer' }, make('div', { class: 'bar' }, says, keys), place)
  let rfb: RFB | undefined
  let isOpen = false
  let process: number | undefined
  const leave = (): void => {
    const old = rfb
    rfb = undefined
    // A browser complains of a connection that is closed before it was open.
    if (isOpen) old?.disconnect()
    else old?.addEventListener('connect', () => old.disconnect())
    isOpen = false
    place.replaceChildren()
  }
  /** The keyboard reaches it, too, as it does what scrolls. */
  const reach = (): void => {
    const canvas = place.querySelector('canvas')
    canvas?.setAttribute('tabindex', '0')
    canvas?.setAttribute('role', 'application')
    canvas?.setAttribute('aria-label', `Screen of ${name}`)
  }
  const connect = (): void => {
    leave()
    setText(says, 'Connecting…')
    const now = new RFB(place, socketUrl(name, 'screen'), { shared: true })
    rfb = now
    now.scaleViewport = true
    now.background = '#12151b'
    now.addEventListener('connect', () => {
      if (rfb !== now) return
      isOpen = true
      setText(says, 'Connected: keys are sent.')
      reach()
    })
    now.addEventListener('credentialsrequired', () => setText(says, 'It asks for a password.'))
    now.addEventListener('disconnect', () => {
      if (rfb !== now) return
      rfb = undefined
      isOpen = false
      setText(says, 'Not connected.')
    })
  }
  const update = (machine: Machine): void => {
    keys.hidden = rfb === undefined
    if (machine.definition['screen'] === undefined)
      return setText(says, 'Its definition has no screen: add "screen": "text", or a resolution.')
    if (!isAlive(machine)) return setText(says, `The machine does not run (${machine.state}).`)
    if (rfb !== undefined && process === machine.pid) return
    process = machine.pid
    connect()
    keys.hidden = false
  }
  return { element, update, stop: leave }
}
