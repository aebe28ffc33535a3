// Messages of libvirt's protocol at random: whole ones, changed ones, and bytes.
import { frame, STATUS, TYPE } from '../../src/libvirt/rpc/frames.ts'
import { REMOTE } from '../../src/libvirt/rpc/connection.ts'
import type { Procedure } from '../../src/libvirt/xdr/procedure.ts'
import { procedures } from '../../src/libvirt/xdr/procedures.ts'
import { encode, type Layout } from '../../src/libvirt/xdr/shapes.ts'

/** Random numbers that a seed and a step decide. */
export interface Random {
  next(): number
  below(end: number): number
  oneIn(times: number): boolean
  pick<T>(values: readonly T[]): T
  several<T>(count: number, make: (index: number) => T): T[]
  integer(): number
}

const module = new URL('../../../../scripts/fuzz/random.mjs', import.meta.url).href
export const { Random } = (await import(module)) as {
  Random: new (seed: string, step: number) => Random
}

const XML = `<domain type='vmexit'><name>four</name><memory unit='KiB'>2048</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type><kernel>/boot/a</kernel></os><devices><console type='pty'/>
</devices></domain>`
const TEXTS = ['', 'one', 'two', 'three', 'four', 'none', 'vmexit:///system', 'x86_64', XML]
const UUIDS = [0, 1, 2, 9].map((at) => `0000000${at}00004000800000000000000000`.slice(0, 32))
const all: readonly Procedure<unknown, unknown>[] = Object.values(
  procedures as unknown as Record<string, Procedure<unknown, unknown>>,
)

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

const padded = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])

function text(random: Random, max: number): Buffer {
  const some = random.oneIn(8)
    ? String.fromCodePoint(...random.several(random.below(40), () => 1 + random.below(0xd000)))
    : random.pick(TEXTS)
  const long = random.oneIn(200) ? 'x'.repeat(random.below(100_000)) : some
  const bytes = Buffer.from(long).subarray(0, max)
  return Buffer.concat([word(bytes.length), padded(bytes)])
}

const number = (random: Random): number =>
  random.oneIn(3) ? random.integer() : random.pick([0, 0, 1, 2, 4, 16, 0xffff_ffff])

/** Bytes that are a value of a layout. */
function valueOf(random: Random, layout: Layout): Buffer {
  switch (layout.kind) {
    case 'void':
      return Buffer.alloc(0)
    case 'int':
    case 'uint':
      return word(number(random))
    case 'hyper':
    case 'uhyper':
    case 'double':
      return Buffer.concat([word(random.oneIn(4) ? random.next() : 0), word(number(random))])
    case 'string':
      return text(random, layout.max)
    case 'opaque': {
      if (layout.length === 16) return Buffer.from(random.pick(UUIDS), 'hex')
      const count = layout.length ?? random.below(64)
      const bytes = Buffer.from(random.several(count, () => random.below(256)))
      return layout.length === undefined
        ? Buffer.concat([word(count), padded(bytes)])
        : padded(bytes)
    }
    case 'optional':
      return random.oneIn(2) ? word(0) : Buffer.concat([word(1), valueOf(random, layout.of)])
    case 'array': {
      const count = layout.length ?? random.pick([0, 1, 2, 3, Math.min(17, layout.max ?? 17)])
      const values = random.several(count, () => valueOf(random, layout.of))
      return Buffer.concat([...(layout.length === undefined ? [word(count)] : []), ...values])
    }
    case 'struct':
      return Buffer.concat(layout.fields.map(([, of]) => valueOf(random, of)))
    case 'union': {
      const [tag, of] = random.pick(layout.arms)
      return Buffer.concat([word(tag), valueOf(random, of)])
    }
  }
}

/** The first call of a client that means it. */
const opening = frame(
  { ...REMOTE, procedure: 1, type: TYPE.call, serial: 0, status: STATUS.ok },
  encode(procedures.connectOpen.arguments, { name: 'vmexit:///system', flags: 0 }),
)

/** One message, as a client of the protocol could send it. */
function whole(random: Random, serial: number): Buffer {
  if (random.oneIn(40)) {
    const keepalive = { program: 0x6b656570, version: 1, procedure: 1 + random.below(2) }
    return frame({ ...keepalive, type: TYPE.message, serial: 0, status: STATUS.ok })
  }
  const streams = [procedures.domainOpenConsole, procedures.domainScreenshot]
  if (random.oneIn(8)) {
    const status = random.pick([STATUS.continue, STATUS.continue, STATUS.ok, STATUS.error, 9])
    const type = random.oneIn(10) ? TYPE.hole : TYPE.stream
    const { number: procedure } = random.pick<{ number: number }>(streams)
    const header = { ...REMOTE, procedure, type, serial: random.below(serial + 1), status }
    return frame(header, Buffer.alloc(random.pick([0, 1, 5, 1000, 70_000]), 'a'))
  }
  const called = random.oneIn(8)
    ? (random.pick<unknown>(streams) as Procedure<unknown, unknown>)
    : random.pick(all)
  // To close is right, and the end of the rest.
  const isClose = called.number === procedures.connectClose.number && !random.oneIn(20)
  const procedure = isClose ? procedures.connectGetHostname : called
  const header = { ...REMOTE, procedure: procedure.number, type: TYPE.call, serial, status: 0 }
  return frame(header, valueOf(random, procedure.arguments.layout))
}

function changed(random: Random, message: Buffer): Buffer {
  const bytes = Buffer.from(message)
  // What the connection does not survive is rare, so that much is said before.
  const change = random.oneIn(40) ? 6 + random.below(2) : random.below(6)
  if (change < 4) {
    // The payload, with its length: the connection goes on.
    for (let count = 1 + random.below(4); count > 0 && bytes.length > 28; count--) {
      const at = 28 + random.below(bytes.length - 28)
      bytes[at] = random.oneIn(2) ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff])
    }
    return bytes
  }
  if (change === 4) {
    const rest = bytes.subarray(0, 28 + random.below(bytes.length - 27))
    rest.writeUInt32BE(rest.length)
    return rest
  }
  if (change === 5) {
    const more = Buffer.concat([bytes, Buffer.from(random.several(random.below(40), () => 255))])
    more.writeUInt32BE(more.length)
    return more
  }
  if (change === 6) {
    bytes.writeUInt32BE(random.integer() >>> 0, 4 * (1 + random.below(6)))
    return bytes
  }
  bytes.writeUInt32BE(random.pick([random.integer() >>> 0, random.below(28), bytes.length + 4]))
  return bytes
}

/** What one client sends. */
export function session(random: Random, count: number): Buffer[] {
  const first = random.oneIn(10) ? [] : [opening]
  const rest = random.several(count, (serial) => {
    if (random.oneIn(500)) return Buffer.from(random.several(100, () => random.below(256)))
    const message = whole(random, serial + 1)
    return random.oneIn(2) ? changed(random, message) : message
  })
  return [...first, ...rest]
}
