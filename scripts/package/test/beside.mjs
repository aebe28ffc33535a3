// A package beside vmexit: what every one of them must be.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../run.mjs'
import { temporaryDirectory } from '../../scope.mjs'
import { linksOf } from './links.mjs'

const DOCUMENTS = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']

export const manifestIn = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

/** The tarball as a file, and what is in it. */
function opened({ registry }, name) {
  const folder = temporaryDirectory()
  const tarball = join(folder, 'package.tgz')
  writeFileSync(tarball, registry.tarballs.get(name))
  must(['tar', '-xzf', tarball, '-C', folder])
  const listed = must(['tar', '-tzf', tarball]).trim().split('\n')
  const files = listed.map((path) => path.replace('package/', '')).toSorted()
  return { tarball, folder: join(folder, 'package'), files }
}

function assertFiles(context, { name, shipped, entries }) {
  const { files } = opened(context, name)
  assert.deepEqual(
    files.filter((file) => !shipped.test(file)),
    DOCUMENTS,
  )
  for (const file of entries) assert.ok(files.includes(file), file)
}

function assertManifest(context, { name, dependencies }) {
  const manifest = manifestIn(opened(context, name).folder)
  const main = context.packages.find((each) => each.name === 'vmexit')
  assert.deepEqual(manifest.peerDependencies, { vmexit: manifest.version })
  assert.equal(manifest.version, manifestIn(main.folder).version)
  assert.deepEqual(Object.keys(manifest.dependencies), dependencies)
  for (const field of ['repository', 'homepage', 'bugs', 'license']) assert.ok(manifest[field])
  for (const field of ['scripts', 'devDependencies', 'bin'])
    assert.equal(manifest[field], undefined, field)
}

function assertSize({ registry }, { name, bytes: most }) {
  const bytes = registry.tarballs.get(name).length
  assert.ok(bytes < most, `it has ${bytes} bytes, the limit is ${most}`)
  return `${(bytes / 1000).toFixed(0)} of ${most / 1000} kB`
}

/** What the repository has beside it is named by its address. */
function assertLinks(context, { name }) {
  const readme = readFileSync(join(opened(context, name).folder, 'README.md'), 'utf8')
  assert.deepEqual(linksOf('README.md', readme), [])
}

/**
 * The cases of a package `{ title, name, bytes, shipped, entries, dependencies }`: at most so many
 * bytes, files of that form and these among them, these dependencies.
 */
export function besideCases(context, its) {
  const lint = (...words) => void must([...words, opened(context, its.name).tarball])
  return {
    [`${its.title}: the tarball is small`]: () => assertSize(context, its),
    [`${its.title}: the tarball holds what it should`]: () => assertFiles(context, its),
    [`${its.title}: the manifest asks for its vmexit and runs nothing`]: () =>
      assertManifest(context, its),
    [`${its.title}: links lead to files in the tarball`]: () => assertLinks(context, its),
    [`${its.title}: publint`]: () => lint('node_modules/.bin/publint', 'run', '--strict'),
    [`${its.title}: are the types wrong`]: () =>
      lint('node_modules/.bin/attw', '--profile', 'esm-only', '--no-emoji'),
  }
}
