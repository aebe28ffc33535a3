import { types } from 'node:util'

import { lengthOf } from '../../options/check.ts'
import type { DiskDevice } from '../../options/virtio/disks.ts'
import { native } from '../../native/native.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { RemoteEnd } from './remotes.ts'

const { NativeDiskAsked: Asked } = native

/** Numbers for each request. */
const requestWords = 4

const nothing = new Uint8Array(0)

/** The requests of one disk. Whatever its back end does is an I/O error in the guest at worst. */
export class RemoteDisk implements RemoteEnd {
  readonly name: string
  readonly #machine: NativeMachine
  readonly #index: number
  readonly #device: DiskDevice

  constructor(machine: NativeMachine, index: number, name: string, device: DiskDevice) {
    this.#machine = machine
    this.#index = index
    this.name = name
    this.#device = device
  }

  serve(): boolean {
    const requests = this.#machine.takeDiskRequests(this.#index)
    if (!requests) return false
    const { words, writes } = requests
    let [waits, write] = [false, 0]
    for (let at = 0; at < words.length; at += requestWords) {
      const [id, asked, offset, length] = words.subarray(at, at + requestWords) as unknown as [
        number,
        number,
        number,
        number,
      ]
      const bytes = asked === Asked.Write ? writes[write++] : undefined
      waits = this.#ask(id, asked, offset, bytes ?? new Uint8Array(length)) || waits
    }
    return waits
  }

  /** Returns whether the answer comes later. */
  #ask(id: number, asked: number, offset: number, bytes: Uint8Array): boolean {
    try {
      const returned = this.#call(asked, offset, bytes)
      if (isThenable(returned)) {
        Promise.resolve(returned).then(
          (value) => this.#answer(id, answerOf(asked, value, bytes)),
          () => this.#answer(id, undefined),
        )
        return true
      }
      this.#answer(id, answerOf(asked, returned, bytes))
    } catch {
      this.#answer(id, undefined)
    }
    return false
  }

  #call(asked: number, offset: number, bytes: Uint8Array): unknown {
    const device = this.#device
    if (asked === Asked.Read) return device.read(offset, bytes)
    if (asked === Asked.Flush) return device.flush?.()
    return device.write!(offset, bytes)
  }

  #answer(id: number, bytes: Uint8Array | undefined): void {
    this.#machine.answerDiskRequest(this.#index, id, bytes)
  }
}

/** The bytes of an answer; `undefined` if it says that it is not the whole. */
function answerOf(asked: number, returned: unknown, bytes: Uint8Array): Uint8Array | undefined {
  if (asked === Asked.Flush) return nothing
  const isRead = asked === Asked.Read
  if (isRead && types.isUint8Array(returned)) return returned
  const count = countOf(returned, isRead)
  if (count !== undefined && count !== lengthOf(bytes)) return undefined
  return isRead ? bytes : nothing
}

/** How many bytes were read or written, if it is said; a `FileHandle` says it in an object. */
function countOf(returned: unknown, isRead: boolean): unknown {
  if (typeof returned === 'number') return returned
  if (typeof returned !== 'object' || returned === null) return undefined
  return isRead
    ? (returned as { bytesRead?: unknown }).bytesRead
    : (returned as { bytesWritten?: unknown }).bytesWritten
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}
