// Names of addresses in ELF images, sound and hostile.
import test from 'ava'

import { readElf } from '../src/debug/elf.ts'
import { Symbols } from '../src/debug/symbols.ts'
import { VmError } from '../src/index.ts'
import { type Made, elfWithSymbols } from './helpers/elf-symbols.ts'
import { elf, entry } from './helpers/elf.ts'
import { randomBelow } from './helpers/random.ts'

const base = BigInt(entry)
const code = new Uint8Array(0x100)
const symbolsOf = (made: readonly Made[], bits: 32 | 64 = 64) =>
  Symbols.of(elfWithSymbols(bits, code, made))

for (const bits of [32, 64] as const) {
  test(`ELF${bits}: a name reaches as far as it says, or to the next`, (t) => {
    const symbols = symbolsOf(
      [
        { name: 'sized', at: 0x10, bytes: 0x10 },
        { name: 'label', at: 0x40, type: 0 },
        { name: 'next', at: 0x50, type: 0, binding: 0 },
      ],
      bits,
    )
    const name = (offset: number) => symbols.symbolOf(base + BigInt(offset))
    t.is(name(0xf), undefined)
    t.is(name(0x10), 'sized')
    t.is(name(0x1f), 'sized+0xf')
    t.is(name(0x20), undefined)
    t.is(name(0x4f), 'label+0xf')
    t.is(name(0x50), 'next')
    // A label without a size ends with its section.
    t.is(name(0xff), 'next+0xaf')
    t.is(name(0x100), undefined)
    t.is(symbols.addressOf('sized+0x3'), base + 0x13n)
    t.is(symbols.addressOf('sized+3'), base + 0x13n)
  })
}

test('the name of what is inside comes first, and then of what it is inside of', (t) => {
  const symbols = symbolsOf([
    { name: 'outer', at: 0, bytes: 0x100 },
    { name: 'inner', at: 0x20, bytes: 0x10 },
  ])
  t.is(symbols.symbolOf(base + 0x2fn), 'inner+0xf')
  t.is(symbols.symbolOf(base + 0x30n), 'outer+0x30')
})

test('of several names for one address the best one', (t) => {
  const symbols = symbolsOf([
    { name: 'weak', at: 0, bytes: 4, binding: 2 },
    { name: 'global', at: 0, bytes: 4, binding: 1 },
    { name: 'local', at: 0, bytes: 4, binding: 0 },
    { name: 'data', at: 0, bytes: 4, type: 1 },
  ])
  t.is(symbols.symbolOf(base), 'global')
})

test('of several addresses with one name the one that all know', (t) => {
  const symbols = symbolsOf([
    { name: 'same', at: 0, binding: 0 },
    { name: 'same', at: 8, binding: 1 },
    { name: 'same', at: 16, binding: 0 },
  ])
  t.is(symbols.addressOf('same'), base + 8n)
})

test('files, sections and what is elsewhere name no address; absolute values have one', (t) => {
  const symbols = symbolsOf([
    { name: 'file.c', at: 0, type: 4, binding: 0 },
    { name: 'undefined', at: 0, section: 0 },
    { name: 'common', at: 0, section: 0xfff2 },
    { name: 'PORT', at: 0x10_0000, type: 0, section: 0xfff1 },
  ])
  t.is(symbols.symbolOf(base), undefined)
  t.is(symbols.addressOf('PORT'), 0x10_0000n)
  for (const name of ['file.c', 'undefined', 'common'])
    t.throws(() => symbols.addressOf(name), { instanceOf: VmError })
})

test('an unknown name: the nearest one is told', (t) => {
  const symbols = symbolsOf([{ name: 'handle_request', at: 0 }])
  for (const [text, message] of [
    ['handle_reqest', 'there is no symbol "handle_reqest"; did you mean handle_request?'],
    ['handle_reqest+4', 'there is no symbol "handle_reqest"; did you mean handle_request?'],
    ['main', 'there is no symbol "main"'],
    ['', 'there is no symbol ""'],
    ['\u001B[31m', 'there is no symbol "\\u001b[31m"'],
  ] as const) {
    const error = t.throws(() => symbols.addressOf(text), { instanceOf: VmError, message })
    t.is(error.code, 'ERR_INVALID_OPTION')
  }
  t.throws(() => symbols.addressOf('handle_request+0xffffffffffffffff'), { instanceOf: VmError })
  t.throws(() => symbols.addressOf('x'.repeat(1 << 20)), { instanceOf: VmError })
})

test('names that a terminal would obey, or that hide, are no names', (t) => {
  const hidden = ['\u001B[2J', 'a\nb', 'two words', '\u202Eevil', '\u00A0', 'x'.repeat(5000)]
  const symbols = symbolsOf(hidden.map((name, index) => ({ name, at: 8 * index, bytes: 8 })))
  for (const index of hidden.keys()) t.is(symbols.symbolOf(base + BigInt(8 * index)), undefined)
  t.is(symbolsOf([{ name: '_ZN4größe3µE', at: 0 }]).symbolOf(base), '_ZN4größe3µE')
})

test('images without symbols, and what is no image, have none', (t) => {
  const none = [new Uint8Array(), Uint8Array.of(0x7f), Uint8Array.of(0x7f, 0x45, 0x4c, 0x46)]
  const arm = elfWithSymbols(64, code, [{ name: 'main', at: 0 }])
  arm[0x12] = 183
  for (const image of [undefined, ...none, elf(64, code), elf(32, code), arm])
    t.is(Symbols.of(image), Symbols.none)
  t.is(Symbols.none.symbolOf(0n), undefined)
  t.throws(() => Symbols.none.addressOf('main'), { message: /has no symbols$/ })
})

test('images cut off anywhere, and with any bytes changed, are no error', (t) => {
  const made: Made[] = Array.from({ length: 20 }, (_, index) => ({
    name: `name${index}`,
    at: 8 * index,
    bytes: index % 3,
  }))
  const next = randomBelow(1)
  const odd = [0, 1, 0x7f, 0x80, 0xff]
  for (const bits of [32, 64] as const) {
    const sound = elfWithSymbols(bits, code, made)
    const ask = (image: Uint8Array) => {
      const symbols = Symbols.of(image)
      for (const at of [0n, base, base + 9n, (1n << 64n) - 1n]) {
        const name = symbols.symbolOf(at)
        if (name !== undefined) t.true(name.length < 5000)
      }
      try {
        symbols.addressOf('name7+0x4')
      } catch (error) {
        t.true(error instanceof VmError && error.code === 'ERR_INVALID_OPTION')
      }
      return readElf(image)
    }
    for (let length = 0; length < sound.length; length += 7) ask(sound.slice(0, length))
    for (let round = 0; round < 3000; round++) {
      const image = sound.slice()
      const headers = round % 2 === 0 ? 0x40 : image.length
      for (let change = next(8); change >= 0; change--)
        image[next(headers)] = odd[next(odd.length)] ?? next(256)
      // Section headers are at the end.
      image[image.length - 1 - next(300)] = next(256)
      ask(image)
    }
  }
})

test('a table of any size, and names that overlap, cost no more than the image', (t) => {
  const made: Made[] = Array.from({ length: 300_000 }, () => ({ name: 'x', at: 0 }))
  const image = elfWithSymbols(64, code, made)
  const begun = process.cpuUsage()
  const symbols = Symbols.of(image)
  t.is(symbols.symbolOf(base), 'x')
  t.is(symbols.addressOf('x'), base)
  const { user } = process.cpuUsage(begun)
  t.log(`${Math.round(user / 1000)} ms of the processor for 300,000 symbols`)
})
