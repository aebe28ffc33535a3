import type { ViewerKeys } from './keys.ts'
import { keyOf } from './keysyms.ts'
import { type Peer, drop } from './peer.ts'
import { readFormat } from './pixel-format.ts'
import { codeOf } from './scan-codes.ts'
import { type Viewer, knownEncodings } from './viewer.ts'

/** The most text of a clipboard that is read, to be thrown away. */
const maxCutBytes = 1024 * 1024

/** How many encodings are read at once, of the 65,535 that a viewer may name. */
const encodingsAtOnce = 1024

type Message = (peer: Peer, viewer: Viewer, keys: ViewerKeys) => Promise<void>

/** What a viewer may say, by type: RFC 6143, section 7.5. */
const messages: Record<number, Message> = {
  0: async function setPixelFormat(peer, viewer) {
    viewer.format = readFormat((await peer.read(19)).subarray(3))
  },
  2: async function setEncodings(peer, viewer) {
    const count = (await peer.read(3)).readUInt16BE(1)
    const named = new Set<number>()
    for (let left = count; left > 0; left -= encodingsAtOnce) {
      const bytes = await peer.read(4 * Math.min(left, encodingsAtOnce))
      for (let at = 0; at < bytes.length; at += 4) {
        const encoding = bytes.readInt32BE(at)
        if (knownEncodings.includes(encoding)) named.add(encoding)
      }
    }
    viewer.encodings = named
  },
  3: async function framebufferUpdateRequest(peer, viewer) {
    const bytes = await peer.read(9)
    const [x, y, width, height] = [1, 3, 5, 7].map((at) => bytes.readUInt16BE(at)) as Four
    viewer.request({ x, y, width, height }, bytes[0] !== 0)
  },
  4: async function keyEvent(peer, _viewer, keys) {
    const bytes = await peer.read(7)
    typeKeysym(keys, bytes.readUInt32BE(3), bytes[0] !== 0)
  },
  5: async function pointerEvent(peer) {
    await peer.read(5)
  },
  6: async function clientCutText(peer) {
    const length = (await peer.read(7)).readUInt32BE(3)
    if (length > maxCutBytes) drop('too much text')
    await peer.skip(length)
  },
  // QEMU's, of which only the keys were announced.
  255: async function extendedKeyEvent(peer, _viewer, keys) {
    const bytes = await peer.read(11)
    if (bytes[0] !== 0) drop('an extension that was not offered')
    const isDown = bytes.readUInt16BE(1) !== 0
    const code = codeOf(bytes.readUInt32BE(7))
    if (code === undefined) typeKeysym(keys, bytes.readUInt32BE(3), isDown)
    else keys.press(code, isDown)
  },
}

type Four = [number, number, number, number]

function typeKeysym(keys: ViewerKeys, keysym: number, isDown: boolean): void {
  const key = keyOf(keysym)
  if (key) keys.type(key, isDown)
}

/** Reads what a viewer says, until it goes or says what no viewer may. */
export async function converse(peer: Peer, viewer: Viewer, keys: ViewerKeys): Promise<never> {
  for (;;) {
    const [type] = await peer.read(1)
    const message = messages[type!] ?? drop('no such message')
    await message(peer, viewer, keys)
  }
}
