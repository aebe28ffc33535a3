import { once } from 'node:events'

import { bitsOfMode, instructionsOf } from '../../debug/disassemble.ts'
import type { Code } from '../../debug/disassemble.ts'
import type { Instruction } from '../../results/instruction.ts'
import { type Elf, readElf } from '../../debug/elf.ts'
import { Symbols } from '../../debug/symbols.ts'
import type { CpuMode } from '../../native/words.ts'
import { paint } from '../../bench/paint.ts'
import { type Run, UsageError, type Values, exitCodes } from '../command.ts'
import { readImage, readStdin, textOf } from '../session/image.ts'
import { parseNumber, parseWord } from '../values.ts'
import { words } from '../words.ts'

/** How many instructions are decoded and written at once. */
const BATCH = 4096
/** What is shown of an instruction's bytes in one column. */
const BYTES_WIDTH = 30

/** A range of the file with code in it. */
interface Part {
  /** Its section. */
  readonly name?: string
  readonly address: bigint
  readonly bytes: Uint8Array
}

/** What is to be shown. */
interface Listing {
  readonly file: string
  readonly format: 'elf' | 'flat'
  readonly mode: CpuMode
  readonly parts: readonly Part[]
  readonly symbols: Symbols
  readonly count: number
}

/** `vmexit disassemble`. */
export const runDisassemble: Run = async (values, positionals) => {
  const [file, extra] = positionals
  if (file === undefined) return UsageError.raise('disassemble needs a file')
  if (extra !== undefined) UsageError.raise(`disassemble takes one file, got '${extra}' too`)
  const image = file === '-' ? await readStdin() : readImage(file)
  const elf = readElf(image)
  const listing = elf ? ofElf(file, elf, image, values) : ofFlat(file, image, values)
  await (values['json'] ? writeJson(listing) : writeText(listing))
  return exitCodes.fine
}

function ofElf(file: string, elf: Elf, image: Uint8Array, values: Values): Listing {
  if (elf.isRelocatable)
    UsageError.raise(`${file} is an object file, whose code has no address yet; link it`)
  if (values['load'] !== undefined) UsageError.raise('--load is for flat images; an ELF image says')
  const symbols = Symbols.of(image)
  const code = codeOf(elf, image.length)
  const at = textOf(values, 'at')
  const parts = at === undefined ? code : [from(addressOf(at, symbols), [...code, ...elf.segments])]
  if (parts.length === 0) UsageError.raise(`${file} has no code`)
  const mode = modeOf(values) ?? (elf.bits === 64 ? 'long' : 'protected')
  return { file, format: 'elf', mode, parts, symbols, count: countOf(values) }
}

function ofFlat(file: string, bytes: Uint8Array, values: Values): Listing {
  const mode = modeOf(values)
  if (!mode) return UsageError.raise(`${file} is no ELF image; a flat one needs --mode`)
  if (bytes.length === 0) UsageError.raise(`${file} is empty`)
  const load = textOf(values, 'load')
  const address = BigInt(load === undefined ? 0 : parseNumber('--load', load))
  const at = textOf(values, 'at')
  const whole = { address, bytes }
  const part = at === undefined ? whole : from(addressOf(at, Symbols.none), [whole])
  const symbols = Symbols.none
  return { file, format: 'flat', mode, parts: [part], symbols, count: countOf(values) }
}

/** Executable sections, or else segments; no more bytes than the image has. */
function codeOf({ sections, segments }: Elf, imageBytes: number): Part[] {
  const named = sections.filter(({ isExecutable, bytes }) => isExecutable && bytes.length > 0)
  const loaded = segments.filter(({ isExecutable, bytes }) => isExecutable && bytes.length > 0)
  let rest = imageBytes
  return (named.length > 0 ? named : loaded).filter(({ bytes }) => (rest -= bytes.length) >= 0)
}

/** What begins at an address, of the first part that has it. */
function from(at: bigint, parts: readonly Part[]): Part {
  const found = parts.find(
    ({ address, bytes }) => at >= address && at < address + BigInt(bytes.length),
  )
  if (!found) return UsageError.raise(`--at: the file has nothing at 0x${at.toString(16)}`)
  return { ...found, address: at, bytes: found.bytes.subarray(Number(at - found.address)) }
}

function addressOf(text: string, symbols: Symbols): bigint {
  if (!/^(0x[\da-f]{1,16}|\d{1,20})$/i.test(text)) {
    if (symbols !== Symbols.none) return symbols.addressOf(text)
    return UsageError.raise(`--at must be an address, as the file has no symbols, got '${text}'`)
  }
  return BigInt.asUintN(64, BigInt(text))
}

function modeOf(values: Values): CpuMode | undefined {
  const text = textOf(values, 'mode')
  return text === undefined ? undefined : parseWord('--mode', words.modes, text)
}

function countOf(values: Values): number {
  const text = textOf(values, 'count')
  if (text === undefined) return Infinity
  const count = parseNumber('--count', text)
  return count > 0 ? count : UsageError.raise('--count must be at least 1, got 0')
}

/** All instructions of a part, up to a number, in batches. */
function* batches(part: Part, mode: CpuMode, symbols: Symbols, most: number) {
  let { address, bytes } = part
  let rest = most
  while (rest > 0 && bytes.length > 0) {
    // In real mode CS.base counts, too, and an instruction pointer has 16 bits.
    const base = mode === 'real' ? address & ~0xffffn : 0n
    const code: Code = { address, bytes, base, bits: bitsOfMode(mode) }
    const batch = [...instructionsOf(code, Math.min(rest, BATCH), symbols)]
    const length = batch.reduce((sum, instruction) => sum + instruction.bytes.length, 0)
    yield batch
    rest -= batch.length
    address = BigInt.asUintN(64, address + BigInt(length))
    bytes = bytes.subarray(length)
  }
}

async function writeText({ file, format, mode, parts, symbols, count }: Listing): Promise<void> {
  await write(`${file}: ${format}, mode ${mode}\n`)
  let rest = count
  for (const part of parts) {
    if (rest > 0) await write(part.name ? `\n${paint('dim', `section ${part.name}`)}\n` : '\n')
    for (const batch of batches(part, mode, symbols, rest)) {
      rest -= batch.length
      await write(batch.map(describe).join(''))
    }
  }
}

function describe({ address, bytes, text, symbol }: Instruction): string {
  const begins = symbol !== undefined && !/\+0x[\da-f]+$/.test(symbol)
  const heading = begins ? `\n${paint('bold', `${symbol}:`)}\n` : ''
  const hex = Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/..(?!$)/g, '$& ')
  return `${heading}${address.toString(16).padStart(10)}:  ${hex.padEnd(BYTES_WIDTH)} ${text}\n`
}

/** One document, a line for each instruction. */
async function writeJson({ file, format, mode, parts, symbols, count }: Listing): Promise<void> {
  const head = Object.entries({ file, format, mode })
  const fields = head.map(([name, value]) => `  "${name}": ${JSON.stringify(value)},\n`)
  await write(`{\n${fields.join('')}  "instructions": [`)
  let rest = count
  let separator = ''
  for (const part of parts) {
    for (const batch of batches(part, mode, symbols, rest)) {
      const lines = batch.map(({ address, bytes, text, symbol }) => {
        const hex = Buffer.from(bytes).toString('hex')
        const line = JSON.stringify({ address: String(address), bytes: hex, text, symbol })
        return `\n    ${line}`
      })
      await write(separator + lines.join(','))
      separator = ','
      rest -= batch.length
    }
  }
  await write('\n  ]\n}\n')
}

/** Waits for a reader that is slow. */
async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}
