// What the tarballs hold and how large they are.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../run.mjs'
import { temporaryDirectory } from '../../scope.mjs'
import { binaryName, packageName, targets } from '../targets.mjs'
import { brokenLinks, linksOf } from './links.mjs'

// Of these what runs native code and Linux programs is some 80 kB; guide, cookbook and templates are 120 kB.
const MAIN_BYTES = 660_000
// Of these a debugger, traces and profiles are some 150 kB, and what runs native code and Linux programs 300 kB.
const PLATFORM_BYTES = 1_700_000

/** What is built, and what README and doc comments point to. */
const SHIPPED =
  /^(dist\/.+\.(js|cjs|d\.c?ts)|docs\/.+\.md|docs\/guide\/pictures\/.+\.svg|examples\/.+\.ts|guest\/(README\.md|include\/.+\.h)|templates\/.+)$/

const DOCUMENTS = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']

/** The path of a package's tarball. */
function tarballOf({ registry }, name) {
  const path = join(temporaryDirectory(), `${name}.tgz`)
  writeFileSync(path, registry.tarballs.get(name))
  return path
}

function filesOf(context, name) {
  return must(['tar', '-tzf', tarballOf(context, name)])
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''))
    .toSorted()
}

const manifestOf = ({ packages }, name) => {
  const { folder } = packages.find((entry) => entry.name === name)
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

function assertLinks(context) {
  const folder = temporaryDirectory()
  must(['tar', '-xzf', tarballOf(context, 'vmexit'), '-C', folder])
  const read = (file) => [file, readFileSync(join(folder, 'package', file), 'utf8')]
  const texts = new Map(filesOf(context, 'vmexit').map(read))
  assert.ok(linksOf('README.md', texts.get('README.md')).length > 5)
  assert.deepEqual(brokenLinks(texts), [])
}

function assertSize({ registry }, name, limit) {
  const bytes = registry.tarballs.get(name).length
  assert.ok(bytes < limit, `${name} has ${bytes} bytes, the limit is ${limit}`)
  return `${(bytes / 1000).toFixed(0)} of ${limit / 1000} kB`
}

function assertMainFiles(context) {
  const files = filesOf(context, 'vmexit')
  const foreign = files.filter((file) => !SHIPPED.test(file))
  const seam = ['index.d.ts', 'machine.schema.json', 'native.cjs', 'native.d.cts']
  const expected = ['ARCHITECTURE.md', 'CHANGELOG.md', 'CONTRIBUTING.md']
  const baseline = ['hello.c', 'machine.c', 'machine.h', 'raw.c', 'state.c', 'user.c'].map(
    (name) => `bench/${name}`,
  )
  assert.deepEqual(foreign, [...expected, ...baseline, ...DOCUMENTS, ...seam].toSorted())
  const entries = ['dist', 'dist/gdb', 'dist/process'].flatMap((at) =>
    ['index.js', 'index.cjs', 'index.d.ts', 'index.d.cts'].map((name) => `${at}/${name}`),
  )
  for (const file of [...entries, 'dist/cli/main.js', 'docs/guide/README.md']) {
    assert.ok(files.includes(file), file)
  }
  // What the guide and the cookbook show goes with them.
  for (const folder of [
    'docs/guide/pictures/',
    'docs/cookbook/',
    'examples/cookbook/',
    'templates/',
  ])
    assert.ok(
      files.some((file) => file.startsWith(folder)),
      folder,
    )
}

function assertMainManifest(context) {
  const manifest = manifestOf(context, 'vmexit')
  const platforms = context.packages.filter(({ target }) => target)
  assert.deepEqual(
    manifest.optionalDependencies,
    Object.fromEntries(platforms.map(({ name }) => [name, manifest.version])),
  )
  for (const target of targets) assert.ok(packageName(target) in manifest.optionalDependencies)
  for (const field of ['repository', 'homepage', 'bugs']) assert.ok(manifest[field], field)
  // Types work where no binary does, so npm must install this package anywhere.
  for (const field of ['scripts', 'dependencies', 'devDependencies', 'os', 'cpu', 'libc']) {
    assert.equal(manifest[field], undefined, field)
  }
}

function assertPlatformManifest(context, target) {
  const { os, cpu, libc, scripts, version } = manifestOf(context, packageName(target))
  assert.deepEqual([os, cpu, libc, scripts], [['linux'], ['x64'], [target.libc], undefined])
  assert.equal(version, manifestOf(context, 'vmexit').version)
}

const lint = (context, name, words) => void must([...words, tarballOf(context, name)])

function platformCases(context, target, publint) {
  const name = packageName(target)
  const files = [...DOCUMENTS, binaryName(target)].toSorted()
  return {
    [`${name}: the tarball is small`]: () => assertSize(context, name, PLATFORM_BYTES),
    [`${name}: the tarball holds the binary`]: () =>
      assert.deepEqual(filesOf(context, name), files),
    [`${name}: the manifest names its platform`]: () => assertPlatformManifest(context, target),
    [`${name}: publint`]: () => lint(context, name, publint),
  }
}

export function contentCases(context) {
  const publint = ['node_modules/.bin/publint', 'run', '--strict']
  const attw = ['node_modules/.bin/attw', '--profile', 'strict', '--no-emoji']
  return {
    'the main tarball is small': () => assertSize(context, 'vmexit', MAIN_BYTES),
    'the main tarball holds what it should': () => assertMainFiles(context),
    'the main manifest asks for its binaries and runs nothing': () => assertMainManifest(context),
    'publint, main': () => lint(context, 'vmexit', publint),
    'are the types wrong': () => lint(context, 'vmexit', attw),
    'links in the main tarball lead to files in it': () => assertLinks(context),
    ...Object.assign({}, ...targets.map((target) => platformCases(context, target, publint))),
  }
}
