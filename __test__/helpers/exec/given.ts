// The files that programs are given, and the trees that they leave.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { deflateSync, gzipSync } from 'node:zlib'

import { randomBelow } from '../random.ts'

const unpacked = (base64: string): Buffer => Buffer.from(base64, 'base64')

const sha256 = (of: string): string => createHash('sha256').update(of).digest('hex')

const random = randomBelow(21)
const words = 'the of and guest host page table fault exit entry ring time port line'.split(' ')

const text = Array.from({ length: 60 }, (_, line) =>
  Array.from({ length: 1 + (line % 9) }, () => words[random(words.length)]).join(' '),
).join('\n')

const rows = Array.from(
  { length: 40 },
  (_, row) => `${words[row % words.length]},${random(1000)},${row}`,
)

const scripts = {
  'count.awk': `BEGIN { FS = "," }
{ sum[$1] += $2; n[$1]++ }
END { for (k in sum) printf "%s %d %.3f\\n", k, n[k], sum[k] / n[k] | "cat" }
`,
  'work.sh': readFileSync('__test__/fixtures/exec/work.sh', 'utf8'),
  'fails.sh': 'set -e\necho begun\nfalse\necho never\n',
  'loop.bc': 'scale=20\ndefine f(n) { if (n < 2) return 1; return n * f(n - 1); }\nf(30)\n1/7\n',
  'text.diff': `--- text.txt
+++ text.txt
@@ -1,1 +1,2 @@
-${text.split('\n')[0]}
+a first line
+and a second
`,
}

/** The zip and xz of Python's own modules: `one` 20 times and so on. */
const zip = unpacked(
  'UEsDBBQAAAAIAIMYIlAoZavLCQAAAFAAAAAJAAAAemlwL2EudHh0y89L5cqnIgYAUEsDBBQAAAAIAIMYIlB0CBeW' +
    'BgAAAAQAAAAOAAAAemlwL2RlZXAvYi50eHQrKc/nAgBQSwECFAMUAAAACACDGCJQKGWrywkAAABQAAAACQAA' +
    'AAAAAAAAAAAApAEAAAAAemlwL2EudHh0UEsBAhQDFAAAAAgAgxgiUHQIF5YGAAAABAAAAA4AAAAAAAAAAAAA' +
    'AKQBMAAAAHppcC9kZWVwL2IudHh0UEsFBgAAAAACAAIAcwAAAGIAAAAAAA==',
)
const xz = unpacked(
  '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AGjABZdADebiM524vTjZd79IVAZ4VMf7kbZaAAAAAD6LVvAAAEupAMA' +
    'AAAjJuFpPjANiwIAAAAAAVla',
)
const lzma = unpacked('XQAAgAD//////////wA3m4jOduL042Xe/SFQGeFTH+5HzD4H//+OCIAA')

/** An entry of an archive of ar(5): name, time, owner, group, mode, size. */
const archived = (name: string, contents: string): string =>
  `${name.padEnd(16)}1600000000  0     0     100644  ${`${contents.length}`.padEnd(10)}${'`'}\n${contents}`

/** Every file that a program is given, by its path. */
export type Given = Readonly<Record<string, string | Uint8Array>>
const given: Given = {
  'text.txt': `${text}\n`,
  'other.txt': `${text.replaceAll('guest', 'visitor')}\nlast`,
  'sorted.txt': `${words.toSorted().join('\n')}\n`,
  'numbers.txt': `${Array.from({ length: 200 }, () => random(1000)).join('\n')}\n`,
  'table.csv': `${rows.join('\n')}\n`,
  'tabs.txt': 'a\tb\tc\n  two\tthree\n\n\tlast\n',
  'dos.txt': 'one\r\ntwo\r\n',
  'utf8.txt': 'Grüße, Welt\nžluťoučký kůň\n日本語\n',
  'bytes.bin': Uint8Array.from({ length: 1024 }, (_, index) => (index * 7) % 256),
  'big.txt': 'a line that is there again and again\n'.repeat(6000),
  empty: '',
  'given.ar': `!<arch>\n${archived('sorted.txt', 'a\nb\n')}${archived('other', 'x\n')}`,
  'ed.txt': '1,3s/e/E/g\n2d\n$a\nadded\n.\nw\nq\n',
  'sums.bc': 'a = 4 * a(1)\na\ne(1)\nsqrt(2) ^ 3\n12345678901234567890 * 98765432109876543210\n',
  'hex.txt': '48656c6c6f2c20776f726c640a\n',
  'base64.txt': `${Buffer.from(text).toString('base64')}\n`,
  'uu.txt': `begin-base64 640 x\n${Buffer.from('uuencoded').toString('base64')}\n====\n`,
  'names.txt': 'dir\ndir/one\nsorted.txt\n',
  'program.sh': 'echo "$1-$2"\nexit 5\n',
  'sums.sha256': `${sha256('1\n')}  dir/one\n${sha256('no')}  dir/two\n`,
  'packed.gz': gzipSync('one two three\n'.repeat(30)),
  'packed.zz': deflateSync('one two three\n'.repeat(30)),
  'packed.xz': xz,
  'packed.lzma': lzma,
  'packed.zip': zip,
  'dir/one': '1\n',
  'dir/two': '22\n',
  'dir/deep/three': '333\n',
  'dir/deep/.hidden': '4\n',
  ...scripts,
}

const links = { link: 'text.txt', 'dir/up': '../numbers.txt', broken: 'no/where' }

/** When all of it was changed. */
const seconds = 1_600_000_000

/** A new directory for one test, which goes with it. */
export function temporary(): { path: string; [Symbol.dispose]: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'vmexit-exec-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Lays out all given files in a directory, without links. */
export function layOutFiles(at: string, files: Given = given): void {
  for (const [path, contents] of Object.entries(files)) {
    const file = join(at, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, contents)
    chmodSync(file, 0o644)
  }
}

/** Lays out all that is given in a directory. */
export function layOut(at: string, files: Given = given): void {
  layOutFiles(at, files)
  for (const [path, target] of Object.entries(links)) symlinkSync(target, join(at, path))
  for (const path of pathsBelow(at)) lutimesSync(join(at, path), seconds, seconds)
  utimesSync(at, seconds, seconds)
}

/** The same, and archives of some of it, which the host's busybox makes. */
export function withArchives(busybox: string): Given {
  using folder = temporary()
  layOut(folder.path)
  const made = (args: string[], input = ''): Buffer =>
    execFileSync(busybox, args, { cwd: folder.path, input, stdio: ['pipe', 'pipe', 'ignore'] })
  const tar = made(['tar', 'cf', '-', 'sorted.txt', 'dir', 'link'])
  return {
    ...given,
    'given.tar': tar,
    'given.bz2': made(['bzip2', '-c', 'text.txt']),
    'given.cpio': made(['cpio', '-o', '-H', 'newc'], 'dir\ndir/one\nlink\nsorted.txt\n'),
  }
}

/** Every path below a directory, sorted; links are not followed. */
export function pathsBelow(at: string): string[] {
  return readdirSync(at, { withFileTypes: true })
    .flatMap((entry) => {
      const below = entry.isDirectory() ? pathsBelow(join(at, entry.name)) : []
      return [entry.name, ...below.map((path) => join(entry.name, path))]
    })
    .toSorted()
}

/** What stands at each path: kind, permissions, contents, and the time unless it is new. */
export function treeOf(at: string): Record<string, string> {
  const paths = pathsBelow(at)
  return Object.fromEntries(
    paths.map((path) => {
      const file = join(at, path)
      const stat = lstatSync(file)
      const mode = (stat.mode & 0o7777).toString(8)
      const isOld = stat.mtimeMs < 1.7e12 && !stat.isDirectory()
      const when = isOld ? `${stat.mtimeMs}` : 'new'
      if (stat.isSymbolicLink()) return [path, `link to ${readlinkSync(file)}`]
      if (stat.isDirectory()) return [path, `directory ${mode}`]
      const contents = withoutOwners(path, readFileSync(file)).toString('latin1')
      return [path, `file ${mode} ${stat.nlink} ${when} ${contents}`]
    }),
  )
}

const blockBytes = 512

/** Archives name who owns what, inodes and devices: the host's there, and the process' own. */
function withoutOwners(path: string, bytes: Buffer): Buffer {
  if (path.endsWith('.cpio')) return withoutOwnersOfCpio(bytes)
  return path.endsWith('.tar') ? withoutOwnersOfTar(bytes) : bytes
}

/** Of the format newc: inode, owner and group, device. */
export function withoutOwnersOfCpio(bytes: Buffer): Buffer {
  const header = /070701.{8}(.{8}).{16}(.{32}).{16}/gs
  return Buffer.from(bytes.toString('latin1').replace(header, '070701$1$2'), 'latin1')
}

/** Of a header: owner and group, its sum, the names of both. */
export function withoutOwnersOfTar(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  for (let at = 0; at + blockBytes <= copy.length; at += blockBytes)
    if (copy.toString('latin1', at + 257, at + 262) === 'ustar') {
      copy
        .fill(0, at + 108, at + 124)
        .fill(0, at + 148, at + 156)
        .fill(0, at + 265, at + 329)
    }
  return copy
}
