// Viewers of a screen that say anything: messages of RFB with random fields, changed anywhere, cut anywhere, read or not. Whatever they say, a viewer after them gets the
// whole screen, and nothing of them stays.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { VirtualMachine, guests } from '../../../dist/index.js'
import { sendInPieces } from '../wire/pieces.mjs'

const BOUND_MS = 60_000
const [WIDTH, HEIGHT] = [640, 400]

const hex = (...bytes) => Buffer.from(bytes).toString('hex')
const word = (value) => value.toString(16).padStart(8, '0').slice(-8)
const half = (value) => word(value).slice(4)

/** A size or a place as one is, or any. */
const place = (random) => half(random.pick([0, 1, 16, 64, WIDTH, HEIGHT, 0xffff, random.next()]))

const format = (random) =>
  [
    hex(random.pick([8, 16, 32, 32, 32, 24, 0, random.below(256)]), random.below(33)),
    hex(random.below(2), random.oneIn(10) ? 0 : 1),
    ...random.several(3, () => half(random.pick([255, 7, 3, 31, 63, 0, 0xffff, random.next()]))),
    ...random.several(3, () => hex(random.pick([0, 8, 16, 24, 5, 11, random.below(256)]))),
    '000000',
  ].join('')

const encodings = (random) => {
  const named = random.several(random.pick([0, 1, 5, 200]), () =>
    word(random.pick([0, -223, -258, -308, 5, 16, random.next()]) >>> 0),
  )
  const count = random.oneIn(10) ? random.next() : named.length
  return `0200${half(count)}${named.join('')}`
}

const text = (random) => {
  const length = random.pick([0, 5, 4096, 5000, 0xffff_ffff, random.next(), random.below(70_000)])
  return `06000000${word(length)}${'61'.repeat(Math.min(length, random.pick([0, 5, 70_000])))}`
}

/** What a viewer may say, and may not. */
const MESSAGES = [
  (random) => `00000000${format(random)}`,
  encodings,
  (random) => `03${hex(random.below(2))}${random.several(4, () => place(random)).join('')}`,
  () => `0301000000000280${half(HEIGHT)}`,
  () => `0300000000000280${half(HEIGHT)}`,
  (random) =>
    `04${hex(random.below(2))}0000${word(random.pick([0xff00 + random.below(256), random.below(256), random.next()]))}`,
  (random) => `05${hex(random.below(256))}${place(random)}${place(random)}`,
  text,
  (random) =>
    `ff${hex(random.oneIn(10) ? 1 : 0)}${half(random.below(2))}${word(random.next())}${word(random.pick([random.below(256), random.next()]))}`,
  (random) => hex(random.below(256)) + random.hex(random.below(20)),
]

const changed = (random, message) => {
  const bytes = Buffer.from(message, 'hex')
  for (let count = random.below(3); count > 0 && bytes.length > 0; count--) {
    bytes[random.below(bytes.length)] = random.below(256)
  }
  return bytes
    .subarray(0, random.oneIn(2) ? bytes.length : random.below(bytes.length + 1))
    .toString('hex')
}

/** What one viewer sends, as plain JSON: its version, the rest of the handshake, and messages. */
export function generate(random) {
  const minor = random.pick([3, 7, 8, 8, 8])
  const version = Buffer.from(`RFB 003.00${minor}\n`).toString('hex')
  const hello = [version, ...(minor < 7 ? [] : ['01']), '01']
  const messages = random
    .several(random.pick([0, 1, 10, 100]), () => random.pick(MESSAGES)(random))
    .map((message) => (random.oneIn(20) ? changed(random, message) : message))
  return {
    hello: random.oneIn(8) ? hello.map((it) => changed(random, it)) : hello,
    messages,
    // After so many bytes there is a break; 0: none.
    pieceBytes: random.pick([0, 0, 0, 1, 7, 1000]),
    reads: !random.oneIn(4),
    repeats: random.oneIn(10) ? 200 : 1,
    ends: random.pick(['destroy', 'end']),
  }
}

const open = async (path) => {
  const socket = connect(path).on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function misbehave(path, { hello, messages, pieceBytes, reads, repeats, ends }) {
  const socket = await open(path)
  if (reads) socket.resume()
  const all = Buffer.from(
    [...hello, ...Array.from({ length: repeats }, () => messages.join(''))].join(''),
    'hex',
  )
  await sendInPieces(socket, all, { pieceBytes, ends, lingerMs: 1 })
}

/** A viewer as it should be gets every pixel. */
async function look(path) {
  const socket = await open(path)
  const timer = setTimeout(() => socket.destroy(), BOUND_MS)
  try {
    socket.write('RFB 003.003\n')
    socket.write(Buffer.from('01', 'hex'))
    socket.write(Buffer.from(`0300000000000280${half(HEIGHT)}`, 'hex'))
    let length = 0
    // Version, security, size, format, name, a header, and a rectangle for each line of tiles.
    const least = 12 + 4 + 24 + 4 + (HEIGHT / 16) * 12 + WIDTH * HEIGHT * 4
    for await (const bytes of socket) {
      length += bytes.length
      if (length >= least) return
    }
    throw new Error(`a viewer after it got ${length} of ${least} bytes`)
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/** One viewer that says anything; throws when one after it is not served, or what it held is not given back. */
export async function execute(task) {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-rfb-'))
  const vm = new VirtualMachine({
    ...{ mode: 'real', pc: true, memoryBytes: 2 ** 20, screen: 'text', payload: guests.hello },
  })
  try {
    const server = await vm.screen.listen({ path: join(folder, 'screen') })
    await misbehave(server.address, task)
    await look(server.address)
    const end = performance.now() + BOUND_MS
    while (server.viewers > 0) {
      if (performance.now() > end) throw new Error(`${server.viewers} viewers are still there`)
      await sleep(1)
    }
  } finally {
    vm.close()
    rmSync(folder, { recursive: true })
  }
}
