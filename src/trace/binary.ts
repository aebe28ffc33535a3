import { setImmediate as nextTurn } from 'node:timers/promises'

import { fail } from '../native/errors.ts'
import { exitReasons } from '../native/words.ts'
import { type Records, at, flags, recordBytes } from './record.ts'

/** The first bytes of a file. */
const magic = new TextEncoder().encode('vmxtrace')
const version = 1

/** Bytes before the records. */
export const headerBytes = 64

/** Bytes of all records that a file may have: those of the largest trace. */
export const mostBytes = 256 * 2 ** 20

/** vCPUs that a machine may have. */
const mostVcpus = 64

/** Records that are checked before the event loop has its turn. */
const atOnce = 16_384

/** Where the fields of the header lie. */
const field = {
  version: 8,
  headerBytes: 12,
  recordBytes: 16,
  flags: 20,
  records: 24,
  dropped: 32,
  capacity: 40,
  vcpus: 44,
} as const

/** What comes before the records. */
export function headerOf({ bytes, dropped, capacity, vcpus, registers }: Records): Uint8Array {
  const header = new Uint8Array(headerBytes)
  header.set(magic)
  const view = new DataView(header.buffer)
  const each = recordBytes(registers)
  view.setUint32(field.version, version, true)
  view.setUint32(field.headerBytes, headerBytes, true)
  view.setUint32(field.recordBytes, each, true)
  view.setUint32(field.flags, registers ? 1 : 0, true)
  view.setBigUint64(field.records, BigInt(bytes.length / each), true)
  view.setBigUint64(field.dropped, BigInt(dropped), true)
  view.setUint32(field.capacity, capacity, true)
  view.setUint32(field.vcpus, vcpus, true)
  return header
}

/** The records of a file's bytes; whatever is wrong with them is `ERR_INVALID_OPTION`. */
export async function recordsOf(file: Uint8Array, name: string): Promise<Records> {
  const records = headed(file, (what) => refuse(name, what))
  const view = new DataView(records.bytes.buffer, records.bytes.byteOffset, records.bytes.length)
  const each = recordBytes(records.registers)
  const ends = new Float64Array(records.vcpus)
  let last = 0
  for (let index = 0, offset = 0; offset < view.byteLength; index += 1, offset += each) {
    last = checkRecord(view, offset, ends, last, (what) => refuse(name, `record ${index}: ${what}`))
    if (index % atOnce === atOnce - 1) await nextTurn()
  }
  return records
}

function refuse(name: string, what: string): never {
  return fail('ERR_INVALID_OPTION', `${name} is no trace that this version reads: ${what}`)
}

function headed(file: Uint8Array, no: (what: string) => never): Records {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  if (file.length < headerBytes || magic.some((byte, index) => file[index] !== byte))
    return no('its first bytes are others')
  const number = (offset: number): number => view.getUint32(offset, true)
  const [records, dropped] = [field.records, field.dropped].map((offset) =>
    Number(view.getBigUint64(offset, true)),
  ) as [number, number]
  if (number(field.version) !== version) no(`version ${number(field.version)}`)
  const registers = number(field.flags) === 1
  if (number(field.flags) > 1) no(`flags ${number(field.flags)}`)
  const each = recordBytes(registers)
  if (number(field.headerBytes) !== headerBytes)
    no(`a header of ${number(field.headerBytes)} bytes`)
  if (number(field.recordBytes) !== each) no(`records of ${number(field.recordBytes)} bytes`)
  const [capacity, vcpus] = [number(field.capacity), number(field.vcpus)]
  if (vcpus < 1 || vcpus > mostVcpus) no(`${vcpus} vCPUs`)
  if (records > capacity * vcpus) no(`${records} records, with room for ${capacity} a vCPU`)
  if (!Number.isSafeInteger(dropped)) no(`${dropped} dropped records`)
  const bytes = file.subarray(headerBytes)
  if (bytes.length !== records * each) no(`${bytes.length} bytes for ${records} records`)
  return { bytes, dropped, capacity, vcpus, registers }
}

/**
 * Checks one record, and that it comes after the last one, of its vCPU and of all; returns its
 * time.
 */
function checkRecord(
  view: DataView,
  offset: number,
  ends: Float64Array,
  last: number,
  no: (what: string) => never,
): number {
  const number = (place: number): number => Number(view.getBigUint64(offset + place, true))
  const [time, guest, host, address] = [at.time, at.guest, at.host, at.address].map(number) as [
    number,
    number,
    number,
    number,
  ]
  const [reason, size] = [view.getUint8(offset + at.reason), view.getUint8(offset + at.size)]
  const known = view.getUint16(offset + at.flags, true)
  const vcpu = view.getUint32(offset + at.vcpu, true)
  if (reason >= exitReasons.length) no(`reason ${reason}`)
  if (size > 8) no(`${size} bytes`)
  if (known > flags.all) no(`flags ${known}`)
  if (vcpu >= ends.length) no(`vCPU ${vcpu}`)
  if (!Number.isSafeInteger(address)) no(`address ${address}`)
  if (!Number.isSafeInteger(time + host)) no(`time ${time}`)
  if (time < last || time - guest < ends[vcpu]!) no('its time is before that of the last one')
  ends[vcpu] = time + host
  return time
}
