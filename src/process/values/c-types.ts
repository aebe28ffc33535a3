import { KINDS, type Kind, NAMES } from './kinds.ts'

/** Words that say nothing of how a value travels. */
const QUALIFIER = /\b(?:const|volatile|restrict|__restrict|__restrict__|register)\b/g

/** A pointer to constant `char`, whatever it is itself. */
const TEXT = /^(?:const char|char const) ?\*$/

/** Type names of C that are one word, and what they are on x86-64 Linux. */
const WORDS: ReadonlyMap<string, Kind> = new Map([
  ...NAMES.map((name): [string, Kind] => [name, KINDS[name]]),
  ...Object.entries({
    float: KINDS.f32,
    double: KINDS.f64,
    bool: KINDS.bool,
    _Bool: KINDS.bool,
    int8_t: KINDS.i8,
    uint8_t: KINDS.u8,
    int16_t: KINDS.i16,
    uint16_t: KINDS.u16,
    int32_t: KINDS.i32,
    uint32_t: KINDS.u32,
    int64_t: KINDS.i64,
    uint64_t: KINDS.u64,
    ssize_t: KINDS.i64,
    ptrdiff_t: KINDS.i64,
    intptr_t: KINDS.i64,
    off_t: KINDS.i64,
    time_t: KINDS.i64,
    size_t: KINDS.usize,
    uintptr_t: KINDS.usize,
    wchar_t: KINDS.i32,
    char16_t: KINDS.u16,
    char32_t: KINDS.u32,
  }),
])

/** What may stand together, in any order: `long unsigned int`. */
const PARTS = new Set(['signed', 'unsigned', 'char', 'short', 'int', 'long'])

/** The type that is written so, in our words or in C's; nothing if it is none of these. */
export function toKind(text: string): Kind | undefined {
  const spaced = text.trim().replace(/\s+/g, ' ')
  const isPointer = /[*&\]]/.test(spaced)
  if (isPointer) return isText(spaced) ? KINDS.cstr : KINDS.ptr
  const plain = words(spaced).join(' ')
  return (
    WORDS.get(plain.replace(/^std::/, '')) ??
    (/^enum \w+$/.test(plain) ? KINDS.i32 : integer(plain))
  )
}

const words = (text: string): string[] => text.replace(QUALIFIER, ' ').trim().split(/\s+/)

function isText(pointer: string): boolean {
  const outer = pointer.replace(/\*[^*]*$/, (end) => `*${end.slice(1).replace(QUALIFIER, '')}`)
  return TEXT.test(outer.trim())
}

function integer(plain: string): Kind | undefined {
  const parts = plain.split(' ')
  if (!parts.every((part) => PARTS.has(part))) return undefined
  const count = (word: string): number => parts.filter((part) => part === word).length
  const [longs, isUnsigned] = [count('long'), count('unsigned') > 0]
  const isTwice = ['signed', 'unsigned', 'char', 'short', 'int'].some((word) => count(word) > 1)
  const sizes = count('char') + count('short') + Math.min(longs, 1)
  const isWrong = isTwice || longs > 2 || sizes > 1 || (count('char') > 0 && count('int') > 0)
  if (isWrong || (isUnsigned && count('signed') > 0)) return undefined
  if (count('char') > 0) return isUnsigned ? KINDS.u8 : KINDS.i8
  if (count('short') > 0) return isUnsigned ? KINDS.u16 : KINDS.i16
  if (longs > 0) return isUnsigned ? KINDS.u64 : KINDS.i64
  return isUnsigned ? KINDS.u32 : KINDS.i32
}
