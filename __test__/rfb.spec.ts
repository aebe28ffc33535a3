// A screen served by RFB, as RFC 6143 has it: a viewer sees the screen's own pixels, only what
// differs is sent, and what it types reaches the keyboard.
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { answerTo } from '../src/machine/rfb/password.ts'
import { RfbClient, type Rectangle, formatBytes, messages } from './fixtures/rfb-client.ts'
import type { PaintedScreen } from './fixtures/rfb-screen.ts'
import { serve } from './fixtures/rfb-served.ts'
import { until } from './fixtures/until.ts'

/** What a viewer's picture is after an update, as RGB words. */
function draw(picture: Uint32Array, stride: number, rectangles: readonly Rectangle[]): void {
  for (const { x, y, width, height, bytes } of rectangles) {
    for (let at = 0; at < width * height; at++) {
      const place = (y + Math.floor(at / width)) * stride + x + (at % width)
      picture[place] = bytes.readUInt32LE(at * 4) & 0xff_ffff
    }
  }
}

function shown(screen: PaintedScreen): Uint32Array {
  const pixels = screen.pixels()
  return Uint32Array.from(
    { length: pixels.length / 4 },
    (_, at) => (pixels[at * 4]! << 16) | (pixels[at * 4 + 1]! << 8) | pixels[at * 4 + 2]!,
  )
}

for (const minor of [3, 5, 7, 8, 889]) {
  test(`a viewer of version 3.${minor} sees the whole screen`, async (t) => {
    const { screen, server } = await serve(t)
    using client = await RfbClient.open(server.address, minor)
    t.deepEqual([client.width, client.height, client.name], [200, 100, 'painted'])
    client.request()
    const picture = new Uint32Array(200 * 100)
    draw(picture, 200, await client.update())
    t.deepEqual(picture, shown(screen))
    t.is(server.viewers, 1)
  })
}

test('after the first picture only what differs is sent, to each viewer what it lacks', async (t) => {
  const { screen, server } = await serve(t)
  using one = await RfbClient.open(server.address)
  using other = await RfbClient.open(server.address)
  const pictures = [one, other].map(() => new Uint32Array(200 * 100))
  one.request()
  draw(pictures[0]!, 200, await one.update())
  one.request(true)
  screen.paint(70, 20, [1, 2, 3])
  const update = await one.update()
  t.deepEqual(
    update.map(({ x, y, width, height }) => [x, y, width, height]),
    [[64, 16, 64, 16]],
  )
  draw(pictures[0]!, 200, update)
  screen.paint(199, 99, [4, 5, 6])
  other.request()
  draw(pictures[1]!, 200, await other.update())
  one.request(true)
  draw(pictures[0]!, 200, await one.update())
  for (const picture of pictures) t.deepEqual(picture, shown(screen))
})

test('a screen that does not change is neither looked at nor sent', async (t) => {
  const { screen, server } = await serve(t)
  using client = await RfbClient.open(server.address)
  client.request()
  await client.update()
  client.request(true)
  const { looks } = screen
  await sleep(200)
  t.is(screen.looks, looks)
  t.is(client.socket.bytesRead, 12 + 2 + 4 + 24 + 7 + 4 + 7 * 12 + 200 * 100 * 4)
  screen.emit('change')
  await sleep(100)
  t.is(screen.looks, looks + 1)
  t.is(client.socket.readableLength, 0)
})

test('a viewer that asks for a part gets what touches it', async (t) => {
  const { server } = await serve(t)
  using client = await RfbClient.open(server.address)
  client.send(messages.request(false, 0, 0, 10, 10))
  t.deepEqual(
    (await client.update()).map(({ x, y, width, height }) => [x, y, width, height]),
    [[0, 0, 64, 16]],
  )
  client.send(messages.request(false, 5000, 5000, 10, 10))
  client.request(true)
  const rest = await client.update()
  t.is(
    rest.reduce((sum, { width, height }) => sum + width * height, 0),
    200 * 100 - 64 * 16,
  )
})

const formats: Record<string, [Buffer, (bytes: Buffer) => number, [number, number, number]]> = {
  '32 bits, red lowest': [
    formatBytes(32, false, [255, 255, 255], [0, 8, 16]),
    (bytes) => bytes.readUInt32LE(),
    [0x12, 0x34, 0x56],
  ],
  '32 bits, red highest': [
    formatBytes(32, false, [255, 255, 255], [24, 16, 8]),
    (bytes) => bytes.readUInt32LE() >>> 8,
    [0x56, 0x34, 0x12],
  ],
  '32 bits, big-endian': [
    formatBytes(32, true, [255, 255, 255], [16, 8, 0]),
    (bytes) => bytes.readUInt32BE(),
    [0x56, 0x34, 0x12],
  ],
  '16 bits of 5, 6 and 5': [
    formatBytes(16, false, [31, 63, 31], [11, 5, 0]),
    (bytes) => bytes.readUInt16LE(),
    [10, 13, 2],
  ],
  '16 bits, big-endian': [
    formatBytes(16, true, [31, 63, 31], [11, 5, 0]),
    (bytes) => bytes.readUInt16BE(),
    [10, 13, 2],
  ],
  '8 bits of 3, 3 and 2': [
    formatBytes(8, false, [7, 7, 3], [0, 3, 6]),
    (bytes) => bytes[0]!,
    [0, 1, 1],
  ],
  '30 bits of 10 each': [
    formatBytes(32, false, [1023, 1023, 1023], [20, 10, 0]),
    (bytes) => bytes.readUInt32LE(),
    [345, 209, 72],
  ],
}
const places: Record<string, (word: number) => number[]> = {
  '32 bits, red lowest': (word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255],
  '16 bits of 5, 6 and 5': (word) => [word >> 11, (word >> 5) & 63, word & 31],
  '16 bits, big-endian': (word) => [word >> 11, (word >> 5) & 63, word & 31],
  '8 bits of 3, 3 and 2': (word) => [word & 7, (word >> 3) & 7, word >> 6],
  '30 bits of 10 each': (word) => [(word >> 20) & 1023, (word >> 10) & 1023, word & 1023],
}

for (const [title, [format, read]] of Object.entries(formats)) {
  test(`the viewer's format of pixels: ${title}`, async (t) => {
    const { screen, server } = await serve(t, 3, 2)
    const colour = [0x12, 0x34, 0x56] as const
    screen.paint(1, 0, colour)
    using client = await RfbClient.open(server.address)
    client.bytesPerPixel = format[0]! / 8
    client.send(messages.format(format))
    client.request()
    const [rectangle] = await client.update()
    const word = read(rectangle!.bytes.subarray(client.bytesPerPixel))
    const most = [4, 6, 8].map((at) => format.readUInt16BE(at))
    const parts = places[title]?.(word) ?? [(word >> 16) & 255, (word >> 8) & 255, word & 255]
    t.deepEqual(
      parts,
      colour.map((value, index) => Math.round((value * most[index]!) / 255)),
    )
  })
}

test('the bits of a pixel that have no colour are ones', async (t) => {
  const { server } = await serve(t, 3, 2)
  using client = await RfbClient.open(server.address)
  client.request()
  t.is((await client.update())[0]!.bytes[3], 0xff)
  client.bytesPerPixel = 2
  client.send(messages.format(formatBytes(16, true, [31, 31, 31], [10, 5, 0])))
  client.request()
  t.is((await client.update())[0]!.bytes[0]! & 0x80, 0x80)
})

const wrongFormats: Record<string, Buffer> = {
  'a colour map': formatBytes(8, false, [7, 7, 3], [0, 3, 6], false),
  '24 bits': formatBytes(24, false, [255, 255, 255], [16, 8, 0]),
  '0 bits': formatBytes(0, false, [255, 255, 255], [16, 8, 0]),
  'a colour outside the pixel': formatBytes(16, false, [255, 255, 255], [16, 8, 0]),
  'a shift of 255': formatBytes(32, false, [255, 255, 255], [255, 8, 0]),
}
for (const [title, format] of Object.entries(wrongFormats)) {
  test(`a viewer that asks for ${title} is dropped, and others are served`, async (t) => {
    const { server } = await serve(t)
    using other = await RfbClient.open(server.address)
    using client = await RfbClient.open(server.address)
    client.send(messages.format(format))
    await client.dropped()
    other.request()
    t.is((await other.update()).length, 7)
  })
}

test('a screen that gets another size tells the viewers that can follow, and drops the others', async (t) => {
  const { screen, server } = await serve(t)
  using able = await RfbClient.open(server.address)
  using unable = await RfbClient.open(server.address)
  able.send(messages.encodings(0, -223))
  for (const client of [able, unable]) {
    client.request()
    await client.update()
    client.request(true)
  }
  screen.resize(64, 32)
  const [size, ...rest] = await able.update()
  t.deepEqual([size!.encoding, size!.width, size!.height], [-223, 64, 32])
  t.is(rest.length, 2)
  await unable.dropped()
  t.true(await until(() => server.viewers === 1))
})

test('keysyms become keys of a US keyboard, whatever the layout of the viewer', async (t) => {
  const { keyboard, server } = await serve(t)
  using client = await RfbClient.open(server.address)
  const press = async (...keysyms: [isDown: boolean, keysym: number][]): Promise<string> => {
    keyboard.notes.length = 0
    client.send(...keysyms.map(([isDown, keysym]) => messages.key(isDown, keysym)))
    client.send(messages.key(true, 0xff0d), messages.key(false, 0xff0d))
    await until(() => keyboard.notes.includes('-Enter'))
    return keyboard.notes.slice(0, -2).join(' ')
  }
  const shift = 0xffe1
  t.is(await press([true, 0x61], [true, 0x61], [false, 0x61]), '+KeyA +KeyA -KeyA')
  t.is(
    await press([true, shift], [true, 0x41], [false, 0x41], [false, shift]),
    '+ShiftLeft +KeyA -KeyA -ShiftLeft',
  )
  // A slash on a German keyboard, and a question mark from a viewer that sends no Shift.
  t.is(
    await press([true, shift], [true, 0x2f], [false, 0x2f], [false, shift]),
    '+ShiftLeft -ShiftLeft +Slash +ShiftLeft -Slash -ShiftLeft',
  )
  t.is(await press([true, 0x3f], [false, 0x3f]), '+ShiftLeft +Slash -ShiftLeft -Slash')
  // The keypad's digits, Shift with Tab, and keys that no keyboard has.
  t.is(await press([true, 0xffb7], [false, 0xffb7]), '+Digit7 -Digit7')
  t.is(await press([true, 0xfe20], [false, 0xfe20]), '+Tab -Tab')
  t.is(await press([true, 0x1_0020_ac], [false, 0x20ac], [false, 0x61], [true, 0xffff_ffff]), '')
})

test('a viewer that knows how sends scan codes', async (t) => {
  const { keyboard, server } = await serve(t)
  using client = await RfbClient.open(server.address)
  client.send(messages.encodings(0, -258))
  client.request(true)
  t.deepEqual((await client.update())[0]!.encoding, -258)
  client.send(
    messages.scanCode(true, 0x7a, 0x15),
    messages.scanCode(false, 0x7a, 0x15),
    messages.scanCode(true, 0xff52, 0xc8),
    messages.scanCode(false, 0xff52, 0xc8),
    // Without a scan code that is known: by keysym.
    messages.scanCode(true, 0x7a, 0),
    messages.scanCode(false, 0x7a, 0xffff_ffff),
  )
  t.true(await until(() => keyboard.notes.includes('-KeyZ')))
  t.is(keyboard.notes.join(' '), '+KeyY -KeyY +ArrowUp -ArrowUp +KeyZ -KeyZ')
})

test('the keys of a viewer that goes are let go, but not what another one holds', async (t) => {
  const { keyboard, server } = await serve(t)
  using stays = await RfbClient.open(server.address)
  using goes = await RfbClient.open(server.address)
  for (const client of [goes, stays]) client.send(messages.key(true, 0xffe3))
  goes.send(messages.key(true, 0x78))
  await until(() => keyboard.notes.length === 3)
  goes.socket.destroy()
  t.true(await until(() => keyboard.notes.includes('-KeyX')))
  t.false(keyboard.notes.includes('-ControlLeft'))
  stays.send(messages.key(false, 0xffe3))
  t.true(await until(() => keyboard.notes.includes('-ControlLeft')))
})

test('a keyboard that throws and a screen that throws end nothing but the view', async (t) => {
  const { screen, keyboard, server } = await serve(t)
  keyboard.down = () => {
    throw new Error('full')
  }
  using client = await RfbClient.open(server.address)
  client.send(
    messages.key(true, 0x61),
    messages.pointer(),
    messages.cutText(5, Buffer.from('ABCDE')),
  )
  client.request()
  await client.update()
  screen.pixels = () => {
    throw new Error('closed')
  }
  screen.emit('change')
  await client.dropped()
  t.true(await until(() => server.viewers === 0))
  t.is(screen.listenerCount('change'), 0)
})

test("the answer to a challenge is DES with the password's bits turned round", (t) => {
  // The key 0x0123456789abcdef is the password 80 c4 a2 e6 91 d5 b3 f7.
  const password = Buffer.from('80c4a2e691d5b3f7', 'hex').toString('latin1')
  const answer = answerTo(Buffer.from('Now is the time '), password)
  t.is(answer.toString('hex'), '3fa40e8a984d48156a271787ab8883f9')
})
