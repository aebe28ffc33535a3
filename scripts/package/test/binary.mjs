// What the binary asks of the machine that it is installed on, and what it tells of the one that built it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { must, root } from '../../run.mjs'
import { artifacts, binaryName, glibc, musl, targets } from '../targets.mjs'

/** The versions of glibc that the symbols of an ELF file ask for, oldest first. */
function glibcVersions(file) {
  const found = must(['objdump', '-T', file]).matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)
  const versions = new Set([...found].map(([, version]) => version))
  return [...versions].toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

const fileOf = (target) => join(artifacts, binaryName(target))

function assertFloor() {
  const newest = glibcVersions(fileOf(glibc)).at(-1)
  assert.ok(newest, 'no symbol of glibc found')
  assert.ok(
    newest.localeCompare(glibc.floor, 'en', { numeric: true }) <= 0,
    `it asks for glibc ${newest}`,
  )
  return `it asks for glibc ${newest}`
}

/** musl alone, as the runtime that loads it has it: no glibc, and no library that an Alpine Linux may lack. */
function assertMuslOnly() {
  const needed = must(['readelf', '-d', '--wide', fileOf(musl)]).matchAll(/NEEDED.*\[(.*)\]/g)
  assert.deepEqual(
    [...needed].map(([, name]) => name),
    ['libc.so'],
  )
  assert.deepEqual(glibcVersions(fileOf(musl)), [])
}

/** Where sources and libraries lie. Not all of a home: /root/ is in a text where /proc/self/root is. */
const folders = [
  process.env.CARGO_HOME ?? join(homedir(), '.cargo'),
  process.env.RUSTUP_HOME ?? join(homedir(), '.rustup'),
  root,
]

function assertNoPaths(file) {
  const bytes = readFileSync(file)
  for (const path of folders) assert.equal(bytes.indexOf(`${path}/`), -1, path)
}

function casesOf(target) {
  const file = fileOf(target)
  return {
    [`${target.platform}: the binary is stripped`]: () => {
      assert.doesNotMatch(must(['readelf', '-S', '--wide', file]), /\.symtab|\.debug_/)
    },
    [`${target.platform}: the binary names no folder of the machine that built it`]: () =>
      assertNoPaths(file),
  }
}

export const binaryCases = () => ({
  [`the binary starts on glibc ${glibc.floor}`]: assertFloor,
  'the binary for musl asks for musl alone': assertMuslOnly,
  ...Object.assign({}, ...targets.map(casesOf)),
})
