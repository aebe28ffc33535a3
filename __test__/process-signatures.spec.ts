// What a signature of a native function says, in our words and in those of C.
import test from 'ava'

import { VmError } from '../src/index.ts'
import { parseSignature } from '../src/process/values/signature.ts'

/** The signature in our words, with those that only C has. */
function read(text: unknown): string {
  const { result, parameters } = parseSignature('f', text, 'ERR_INVALID_OPTION')
  return `${result.name}(${parameters.map(({ name }) => name).join(', ')})`
}

const own = [
  'void()',
  'i32(i32, i32)',
  'f64(ptr, usize)',
  'u64(i64, u64, u32)',
  'cstr(cstr, f32)',
  'i32(ptr, i32, cstr)',
]

for (const text of own) test(`${text} is itself`, (t) => t.is(read(text), text))

const inC: [given: string, means: string][] = [
  ['void(void)', 'void()'],
  [' int ( ) ', 'i32()'],
  ['int(int,int)', 'i32(i32, i32)'],
  ['signed(unsigned, unsigned int, unsigned)', 'i32(u32, u32, u32)'],
  ['char(signed char, unsigned char)', 'i8(i8, u8)'],
  ['short(unsigned short, short int)', 'i16(u16, i16)'],
  ['bool(_Bool, bool)', 'bool(bool, bool)'],
  ['long(long long, long int, long long int)', 'i64(i64, i64, i64)'],
  ['unsigned long(long unsigned int, unsigned long long)', 'u64(u64, u64)'],
  ['int8_t(uint8_t, int16_t, uint16_t)', 'i8(u8, i16, u16)'],
  ['int32_t(uint32_t, int64_t, uint64_t)', 'i32(u32, i64, u64)'],
  ['size_t(uintptr_t, ssize_t, std::size_t)', 'usize(usize, i64, usize)'],
  ['float(double)', 'f32(f64)'],
  ['const char *(const char*, char const *)', 'cstr(cstr, cstr)'],
  ['void(const char *const, const char *restrict)', 'void(cstr, cstr)'],
  ['char *(char *, const char **, const unsigned char *)', 'ptr(ptr, ptr, ptr)'],
  ['void *(const void *, struct node *, double *)', 'ptr(ptr, ptr, ptr)'],
  ['void(int (*)(int, int), int [4], std::string &)', 'void(ptr, ptr, ptr)'],
  ['const int(volatile unsigned int)', 'i32(u32)'],
  ['enum colour(enum colour)', 'i32(i32)'],
]

for (const [given, means] of inC) test(`${given} is ${means}`, (t) => t.is(read(given), means))

const refused: [given: unknown, why: RegExp][] = [
  [undefined, /^f must be a signature such as 'i32\(ptr, usize\)', got undefined$/],
  ['i32', /got "i32"$/],
  ['i32(', /got "i32\("$/],
  ['i32())', /parentheses do not match$/],
  ['i32(()', /parentheses do not match$/],
  ['(i32)', /a type is missing$/],
  ['i32(i32,)', /a type is missing$/],
  ['i33(i32)', /"i33" is no type that can be passed$/],
  ['i32(void, i32)', /"void" is no type/],
  ['long double(int)', /"long double" is no type/],
  ['struct point(int)', /"struct point" is no type/],
  ['int(..., int)', /"\.\.\." is no type/],
  ['int(...)', /"\.\.\." is no type/],
  ['long long long()', /"long long long" is no type/],
  ['short long()', /is no type/],
  ['unsigned signed()', /is no type/],
  ['int(constructor)', /"constructor" is no type/],
  [`i32(${'i32,'.repeat(64)}i32)`, /at most 64 parameters$/],
  [`i32(${' '.repeat(5000)})`, /of 5005 characters$/],
]

for (const [given, message] of refused) {
  test(`${String(given).slice(0, 40)} is refused: ${message.source.slice(0, 60)}`, (t) => {
    const error = t.throws(() => read(given), { instanceOf: VmError, message })
    t.is((error as VmError).code, 'ERR_INVALID_OPTION')
  })
}
