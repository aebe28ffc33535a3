// What docs/native.md says of languages and compilers: its sources compile by its lines, and what
// comes out is a library.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import test from 'ava'
import { instantiate } from 'vmexit/process'

import { kvmTest } from './helpers/kvm.ts'
import { absentPart, whereIs } from './helpers/native.ts'
import { allSnippets } from './helpers/snippets.ts'

const page = 'docs/native.md'
const include = '-Inode_modules/vmexit/guest/include'
const text = readFileSync(page, 'utf8')

/** The sources of the page, by the names that their first lines give. */
const sources = new Map(
  allSnippets
    .filter(({ place, code }) => place.startsWith(page) && /^\/\/ \w+\.\w+\n/.test(code))
    .map(({ code }) => [/\w+\.\w+/.exec(code)![0], code]),
)

/** Lines that compile: in its table, and alone. */
const lines = [...text.matchAll(/(?:^|`)([\w+-]+ [^`\n]*\blib\.\w+[^`\n]*lib\.elf)`?/gm)].map(
  ([, line]) => line!,
)

/** Runs a line where the sources are. */
function compile(line: string): { image: Uint8Array } | { missing: string } {
  const [tool = '', ...words] = line.split(' ')
  if (!whereIs(tool)) return { missing: `${tool} is not installed` }
  // Kept, as an emulated processor takes long for what the same sources and lines give.
  const made = createHash('sha256').update(JSON.stringify([line, ...sources, addOnly]))
  made.update(readFileSync('guest/include/vmexit.h'))
  const kept = resolve(`.cache/native/docs-${made.digest('hex').slice(0, 16)}.elf`)
  if (existsSync(kept)) return { image: new Uint8Array(readFileSync(kept)) }
  mkdirSync(dirname(kept), { recursive: true })
  const folder = mkdtempSync(join(dirname(kept), 'fresh-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(resolve('.'), join(folder, 'node_modules/vmexit'))
    // The source with a libc and a start is not for where there is none.
    const bare = line.includes('-nostdlib')
    for (const [name, code] of sources)
      writeFileSync(join(folder, name), bare && name === 'lib.c' ? addOnly : code)
    const more = words.includes(include) || /\.(rs|zig)\b/.test(line) ? [] : [include]
    const run = { cwd: folder, encoding: 'utf8' } as const
    const { status, stderr } = spawnSync(tool, [...words, ...more], run)
    const part = absentPart.exec(stderr)?.[0]
    if (part) return { missing: part }
    if (status !== 0) throw new Error(stderr)
    renameSync(join(folder, 'lib.elf'), kept)
    return { image: new Uint8Array(readFileSync(kept)) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const addOnly = `#include "vmexit.h"
VMEXIT_EXPORT(int, add, int, int);
int add(int a, int b) { return a + b; }
`

test('the sources of the page are those of its programs, and there is a line for each', (t) => {
  for (const name of ['lib.c', 'sort.c'])
    t.is(sources.get(name), readFileSync(join('__test__/fixtures/native', name), 'utf8'))
  t.deepEqual([...sources.keys()].toSorted(), ['lib.c', 'lib.cpp', 'lib.rs', 'lib.zig', 'sort.c'])
  for (const name of ['lib.c', 'lib.cpp', 'lib.rs', 'lib.zig'])
    t.true(lines.some((line) => line.includes(name)))
  t.is(lines.length, 8)
})

for (const line of new Set(lines)) {
  kvmTest(`a library comes of: ${line}`, async (t) => {
    const library = compile(line)
    if ('missing' in library) {
      t.log(`skipped: ${library.missing}`)
      t.pass()
      return
    }
    const { image } = library
    if (line.includes('.cpp')) {
      const exports = { palindrome: 'i32(cstr)' } as const
      using lib = await instantiate(image, { exports, timeoutMs: 300_000 })
      t.is(lib.exports.palindrome('abba'), 1)
      t.is(lib.exports.palindrome('abc'), 0)
      return
    }
    using lib = await instantiate(image, { exports: { add: 'i32(i32, i32)' }, timeoutMs: 300_000 })
    t.is(lib.exports.add(40, 2), 42)
  })
}
