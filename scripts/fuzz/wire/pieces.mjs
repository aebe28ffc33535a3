// How a client that misbehaves sends what it has, whatever the protocol.
import { setTimeout as sleep } from 'node:timers/promises'

/** Writes bytes in pieces of so many, 0 for all at once, and leaves as `ends` says: by an end, or at once. */
export async function sendInPieces(socket, bytes, { pieceBytes, ends, lingerMs }) {
  const step = pieceBytes || bytes.length || 1
  // Not for ever byte by byte.
  for (let at = 0, count = 0; at < bytes.length && !socket.destroyed; at += step, count++) {
    const isLast = count === 200
    socket.write(bytes.subarray(at, isLast ? bytes.length : at + step))
    if (isLast) break
    if (pieceBytes) await sleep(0)
  }
  await sleep(lingerMs)
  if (ends === 'end') {
    socket.end()
    await sleep(lingerMs)
  }
  socket.destroy()
}
