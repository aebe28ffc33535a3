// What the binary asks of the machine that it is installed on, and what it tells of the one that built it.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../run.mjs'
import { compareVersions } from '../../setup/versions.mjs'
import { must } from '../commands.mjs'
import { glibcVersions } from '../glibc.mjs'
import { artifacts, binaryName, tested } from '../targets.mjs'

const file = join(artifacts, binaryName(tested))

function assertFloor() {
  const newest = glibcVersions(file).at(-1)
  assert.ok(newest, 'no symbol of glibc found')
  assert.ok(compareVersions(newest, tested.floor) <= 0, `it asks for glibc ${newest}`)
  return `it asks for glibc ${newest}`
}

function assertNoPaths() {
  const bytes = readFileSync(file)
  for (const path of [homedir(), root]) assert.equal(bytes.indexOf(`${path}/`), -1, path)
}

export const binaryCases = () => ({
  [`the binary starts on glibc ${tested.floor}`]: assertFloor,
  'the binary is stripped': () => {
    assert.doesNotMatch(must(['readelf', '-S', '--wide', file]), /\.symtab|\.debug_/)
  },
  'the binary names no folder of the machine that built it': assertNoPaths,
})
