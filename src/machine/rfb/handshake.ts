import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { challengeBytes, isRight } from './password.ts'
import { type Peer, drop } from './peer.ts'
import type { Picture } from './picture.ts'
import { usualFormat, writeFormat } from './pixel-format.ts'

/** How long one who guesses waits for the answer. */
const failureMs = 1000

const none = 1
const vncAuthentication = 2

/** Agrees on a version and on who the viewer is: RFC 6143, section 7.1 and 7.2. */
export async function admit(peer: Peer, password: string | undefined): Promise<void> {
  await peer.write(Buffer.from('RFB 003.008\n'))
  const minor = minorOf((await peer.read(12)).toString('latin1'))
  const security = password === undefined ? none : vncAuthentication
  if (minor < 7) await peer.write(word(security))
  else {
    await peer.write(Buffer.of(1, security))
    if ((await peer.read(1))[0] !== security) drop('another security type')
  }
  const isAdmitted = password === undefined || (await knows(peer, password))
  if (isAdmitted && (security !== none || minor >= 8)) await peer.write(word(0))
  if (isAdmitted) return
  const reason = Buffer.from('wrong password')
  await peer.write(Buffer.concat([word(1), ...(minor < 8 ? [] : [word(reason.length), reason])]))
  drop('wrong password')
}

async function knows(peer: Peer, password: string): Promise<boolean> {
  const challenge = randomBytes(challengeBytes)
  await peer.write(challenge)
  const knowsIt = isRight(await peer.read(challengeBytes), challenge, password)
  if (!knowsIt) await sleep(failureMs, undefined, { ref: false })
  return knowsIt
}

/** Tells the viewer what it will see. Whether it wants the screen for itself is not asked. */
export async function introduce(peer: Peer, picture: Picture, name: string): Promise<void> {
  await peer.read(1)
  const size = Buffer.alloc(4)
  size.writeUInt16BE(picture.width, 0)
  size.writeUInt16BE(picture.height, 2)
  const title = Buffer.from(name)
  await peer.write(Buffer.concat([size, writeFormat(usualFormat), word(title.length), title]))
}

/** 3, 7 or 8, and whatever lies between them is the lower one. */
function minorOf(version: string): number {
  const found = /^RFB 003\.(\d{3})\n$/.exec(version)
  return found ? Number(found[1]) : drop('another protocol')
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
