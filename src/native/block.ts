import { native } from './native.ts'
import { pump } from './pump.ts'

const { NativePlace: Place } = native

const own = new Uint32Array(2 * Place.Count)

/**
 * The block of words that this side and the native one share, for every machine of this thread. A
 * question and its answer are words 0 to 7: kind, route, offset, size, vcpu, ticket, value low,
 * value high. Whoever reads takes all that counts before anything else is called, and whoever
 * writes does so last.
 */
export const words = native.share(own, () => pump(true)) ?? own

const { buffer } = words

/** The value in words 6 and 7. */
export const value64 = new BigUint64Array(buffer, 24, 1)
/** General registers, in the order of `struct kvm_regs`. */
export const registerWords = new BigUint64Array(buffer, 8 * Place.Registers, 18)
/** The end of a run, see `NativePlace`. */
export const ending = new Uint32Array(buffer, 8 * Place.Ending, 8)
/** The port or address of its exit, its exits, and its milliseconds. */
export const numbers = new Float64Array(buffer, 8 * Place.Numbers, 3)
/** What the guest wrote, up to 8 bytes. */
export const written = new Uint8Array(buffer, 8 * Place.Data, 8)
/** Special registers, see `NativePlace`. */
export const special = new BigUint64Array(buffer, 8 * Place.Special, Place.Count - Place.Special)
/** The same as bytes. */
export const specialBytes = new DataView(buffer, special.byteOffset, special.byteLength)
