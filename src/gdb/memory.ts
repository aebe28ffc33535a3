import type { VirtualMemory } from '../debug/virtual.ts'
import { raise } from '../native/errors.ts'

/** The smallest page: a read that fails is told as far as it came. */
const PAGE = 4096n
const END = 1n << 64n

/**
 * Bytes at a linear address, fewer where no more memory is mapped; `undefined` where there is none
 * at all. An error that is not about the address is thrown.
 */
export function readMemory(
  memory: VirtualMemory,
  address: bigint,
  length: number,
): Uint8Array | undefined {
  const most = Number(END - address < BigInt(length) ? END - address : BigInt(length))
  const whole = attempt(() => memory.read(address, most))
  if (whole || most === 0) return whole
  const pieces: Uint8Array[] = []
  for (let at = address; at < address + BigInt(most);) {
    const pageEnd = (at & ~(PAGE - 1n)) + PAGE
    const end = pageEnd < address + BigInt(most) ? pageEnd : address + BigInt(most)
    const piece = attempt(() => memory.read(at, Number(end - at)))
    if (!piece) break
    pieces.push(piece)
    at = end
  }
  return pieces.length === 0 ? undefined : Buffer.concat(pieces)
}

/** Whether all bytes could be written. */
export function writeMemory(memory: VirtualMemory, address: bigint, bytes: Uint8Array): boolean {
  if (BigInt(bytes.length) > END - address) return false
  return attempt(() => (memory.write(address, bytes), true)) ?? false
}

function attempt<T>(access: () => T): T | undefined {
  try {
    return access()
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_GUEST_MEMORY') return undefined
    return raise(error)
  }
}
