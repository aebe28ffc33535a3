import { createCipheriv, timingSafeEqual } from 'node:crypto'

/** How many bytes the guest's challenge has. */
export const challengeBytes = 16

const keyBytes = 8

/**
 * What a viewer answers that knows the password: the challenge in DES, whose key is the password
 * with the bits of each byte in reverse order (RFC 6143, section 7.2.2).
 */
export function answerTo(challenge: Uint8Array, password: string): Buffer {
  const key = Buffer.alloc(keyBytes)
  key.set(Buffer.from(password, 'latin1').subarray(0, keyBytes).map(reversed))
  // OpenSSL 3 has no single DES; three times with one key it is the same.
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([key, key, key]), null)
  return cipher.setAutoPadding(false).update(challenge)
}

/** Whether a viewer's answer is right, in a time that does not tell how far. */
export function isRight(answer: Uint8Array, challenge: Uint8Array, password: string): boolean {
  return timingSafeEqual(answer, answerTo(challenge, password))
}

function reversed(byte: number): number {
  let turned = 0
  for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) turned |= 0x80 >>> bit
  return turned
}
