// Machines made from listings, and the errors that are expected of them.
import {
  type Device,
  type ErrorCode,
  type Guest,
  type Route,
  VirtualMachine,
  type VirtualMachineOptions,
  VmError,
} from '../../src/index.ts'

/** Machine code from a listing: in each line hexadecimal bytes, a semicolon, the disassembly. */
export function code(listing: string): Uint8Array {
  const bytes = listing.split('\n').flatMap((line) => line.split(';')[0]!.match(/\S+/g) ?? [])
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 16))
}

/** A long-mode machine, unless `options` say otherwise; a string is a listing. */
export function machine(
  payload: Guest | string,
  routes: readonly Route[] = [],
  options: Partial<VirtualMachineOptions> = {},
): VirtualMachine {
  return new VirtualMachine({
    mode: 'long',
    payload: typeof payload === 'string' ? { image: code(payload) } : payload,
    routes,
    ...options,
  })
}

/** The errors that `t.throws` and `t.throwsAsync` shall see. */
export function vmError(errorCode: ErrorCode, message?: RegExp) {
  const expected = { instanceOf: VmError, name: 'VmError', code: errorCode }
  return message ? { ...expected, message } : expected
}

/** One access as a device saw it. */
export type Asked =
  | ['read', offset: number, size: number, vcpu: number]
  | ['write', offset: number, size: number, value: number | bigint, vcpu: number]

/** A device that notes what it is asked, and reads as `answer` says. */
export function recorder(answer: (offset: number, size: number) => number | bigint = () => 0): {
  device: Required<Pick<Device, 'read' | 'write'>>
  asked: Asked[]
} {
  const asked: Asked[] = []
  return {
    asked,
    device: {
      read(offset, size, vcpu) {
        asked.push(['read', offset, size, vcpu])
        return answer(offset, size)
      },
      write(offset, size, value, vcpu) {
        asked.push(['write', offset, size, value, vcpu])
      },
    },
  }
}

/** A device that works like memory. */
export function memoryDevice(bytes: Uint8Array): Required<Pick<Device, 'read' | 'write'>> {
  return {
    read: (offset, size) => fromBytes(bytes.subarray(offset, offset + size)),
    write: (offset, size, value) => bytes.set(toBytes(value, size), offset),
  }
}

/** The low `size` bytes of a value, little-endian. */
export function toBytes(value: number | bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true)
  return bytes.subarray(0, size)
}

/** A little-endian value: a number up to 4 bytes, a bigint above. */
export function fromBytes(bytes: Uint8Array): number | bigint {
  const whole = new Uint8Array(8)
  whole.set(bytes)
  const value = new DataView(whole.buffer).getBigUint64(0, true)
  return bytes.length <= 4 ? Number(value) : value
}

/** Bytes that show every loss, repetition and reordering within 251 of them. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index % 251) + 1)
}
