// What the tarballs hold and how large they are.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../commands.mjs'
import { binaryName, packageName, tested } from '../targets.mjs'

const MAIN_BYTES = 200_000
const PLATFORM_BYTES = 1_000_000

const DOCUMENTS = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']

/** Hands `use` the path of a package's tarball. */
function withTarball({ registry }, name, use) {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-tarball-'))
  try {
    const path = join(folder, `${name}.tgz`)
    writeFileSync(path, registry.tarballs.get(name))
    return use(path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function filesOf(context, name) {
  const list = withTarball(context, name, (path) => must(['tar', '-tzf', path]))
  return list
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''))
    .toSorted()
}

const manifestOf = ({ packages }, name) => {
  const { folder } = packages.find((entry) => entry.name === name)
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

function assertSize({ registry }, name, limit) {
  const bytes = registry.tarballs.get(name).length
  assert.ok(bytes < limit, `${name} has ${bytes} bytes, the limit is ${limit}`)
  return `${(bytes / 1000).toFixed(0)} of ${limit / 1000} kB`
}

function assertMainFiles(context) {
  const files = filesOf(context, 'vmexit')
  const foreign = files.filter((file) => !/^dist\/.+\.(js|d\.ts)$/.test(file))
  const seam = ['index.d.ts', 'index.js']
  const expected = ['CHANGELOG.md', 'bench/raw.c', ...DOCUMENTS, ...seam]
  assert.deepEqual(foreign, expected.toSorted())
  for (const file of ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js']) {
    assert.ok(files.includes(file), file)
  }
}

function assertMainManifest(context) {
  const manifest = manifestOf(context, 'vmexit')
  const platforms = context.packages.filter(({ target }) => target)
  assert.deepEqual(
    manifest.optionalDependencies,
    Object.fromEntries(platforms.map(({ name }) => [name, manifest.version])),
  )
  assert.ok(packageName(tested) in manifest.optionalDependencies)
  // Types work where no binary does, so npm must install this package anywhere.
  for (const field of ['scripts', 'dependencies', 'devDependencies', 'os', 'cpu', 'libc']) {
    assert.equal(manifest[field], undefined, field)
  }
}

function assertPlatformManifest(context) {
  const { os, cpu, libc, scripts, version } = manifestOf(context, packageName(tested))
  assert.deepEqual(
    { os, cpu, libc, scripts },
    {
      os: ['linux'],
      cpu: ['x64'],
      libc: ['glibc'],
      scripts: undefined,
    },
  )
  assert.equal(version, manifestOf(context, 'vmexit').version)
}

const lint = (context, name, words) => {
  withTarball(context, name, (path) => must([...words, path]))
}

export function contentCases(context) {
  const platform = packageName(tested)
  const publint = ['node_modules/.bin/publint', 'run', '--strict']
  const attw = ['node_modules/.bin/attw', '--profile', 'esm-only', '--no-emoji']
  return {
    'the main tarball is small': () => assertSize(context, 'vmexit', MAIN_BYTES),
    'the platform tarball is small': () => assertSize(context, platform, PLATFORM_BYTES),
    'the main tarball holds what it should': () => assertMainFiles(context),
    'the platform tarball holds the binary': () =>
      assert.deepEqual(filesOf(context, platform), [...DOCUMENTS, binaryName(tested)].toSorted()),
    'the main manifest asks for its binaries and runs nothing': () => assertMainManifest(context),
    'the platform manifest names its platform': () => assertPlatformManifest(context),
    'publint, main': () => lint(context, 'vmexit', publint),
    'publint, platform': () => lint(context, platform, publint),
    'are the types wrong': () => lint(context, 'vmexit', attw),
  }
}
