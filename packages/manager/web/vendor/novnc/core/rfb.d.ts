/** What the page uses of noVNC, which comes without types. */
export default class RFB extends EventTarget {
  constructor(
    target: HTMLElement,
    urlOrChannel: string | WebSocket | RTCDataChannel,
    options?: {
      readonly shared?: boolean
      readonly wsProtocols?: readonly string[]
    },
  )

  viewOnly: boolean
  focusOnClick: boolean
  clipViewport: boolean
  dragViewport: boolean
  scaleViewport: boolean
  resizeSession: boolean
  showDotCursor: boolean
  background: string
  qualityLevel: number
  compressionLevel: number
  disconnect(): void
  focus(options?: FocusOptions): void
  blur(): void
  sendCtrlAltDel(): void
  sendKey(keysym: number, code: string | null, down?: boolean): void
  clipboardPasteFrom(text: string): void
}
