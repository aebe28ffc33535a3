// Bundlers: a bundle that leaves the package outside runs; one that takes it in runs, or is never made.
import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../run.mjs'
import { give, needsKvm, userOf } from './cases.mjs'

const PROGRAM = 'bundled.mjs'
const TOLD = 'hlt Hello, world!\n'

const bunOf = (tools) => join(tools, '@oven', 'bun-linux-x64', 'bin', 'bun')
const own = (name) => join(root, 'node_modules', '.bin', name)

/** The words of each bundler, without what becomes of the package and where the bundle goes. */
function bundlers({ tools }) {
  const plain = [PROGRAM, '--platform', 'node', '--format', 'esm', '--dir']
  const ssr = ['build', '--ssr', PROGRAM, '--logLevel', 'error']
  return {
    esbuild: [own('esbuild'), PROGRAM, '--bundle', '--platform=node', '--log-level=error'],
    rolldown: ['node', own('rolldown'), ...plain],
    webpack: ['node', join(tools, 'webpack-cli', 'bin', 'cli.js'), '--config'],
    vite: ['node', join(tools, 'vite', 'bin', 'vite.js'), ...ssr],
    bun: [bunOf(tools), 'build', PROGRAM],
  }
}

/** Each with the words of a build, and the file that comes out. */
function working(context) {
  const { esbuild, rolldown, webpack, vite, bun } = bundlers(context)
  return {
    'esbuild, external': [
      [...esbuild, '--external:vmexit', '--format=esm', '--outfile=out/esbuild.mjs'],
      'out/esbuild.mjs',
    ],
    'esbuild, with its loader for binaries': [
      [...esbuild, '--loader:.node=copy', '--format=cjs', '--outfile=out/esbuild.cjs'],
      'out/esbuild.cjs',
    ],
    'rolldown, external': [
      [...rolldown, 'out/rolldown', '--external', 'vmexit'],
      'out/rolldown/bundled.js',
    ],
    'rolldown, which copies binaries': [
      [...rolldown, 'out/copied', '--module-types', '.node=copy'],
      'out/copied/bundled.js',
    ],
    'webpack, external': [[...webpack, 'webpack.external.cjs'], 'out/webpack.cjs'],
    'vite build --ssr': [[...vite, '--outDir', 'out/vite'], 'out/vite/bundled.mjs'],
    'bun build': [[...bun, '--target=node', '--outdir', 'out/bun'], 'out/bun/bundled.js'],
  }
}

/** Those that take the package in and its binary not. */
function failing(context) {
  const { esbuild, rolldown, webpack, vite } = bundlers(context)
  return {
    esbuild: [...esbuild, '--format=esm', '--outfile=out/none.mjs'],
    rolldown: [...rolldown, 'out/none'],
    webpack: [...webpack, 'webpack.cjs'],
    'vite build --ssr that takes everything in': [
      ...[...vite, '--outDir', 'out/none', '--config', 'vite.all.config.mjs'],
    ],
  }
}

/** Those that are told to take in files of any kind: the bundle says what to do. */
function telling(context) {
  const { esbuild, rolldown, webpack, vite } = bundlers(context)
  const esm = [...esbuild, '--format=esm']
  const cjs = [...esbuild, '--format=cjs']
  return {
    'esbuild, an ES module with a copied binary': [
      [...esm, '--loader:.node=copy', '--outfile=out/tells.mjs'],
      'out/tells.mjs',
    ],
    'esbuild, the path of the binary': [
      [...cjs, '--loader:.node=file', '--outfile=out/tells.cjs'],
      'out/tells.cjs',
    ],
    'esbuild, the bytes of the binary': [
      [...cjs, '--loader:.node=binary', '--outfile=out/bytes.cjs'],
      'out/bytes.cjs',
    ],
    'rolldown, the path of the binary': [
      [...rolldown, 'out/asset', '--module-types', '.node=asset'],
      'out/asset/bundled.js',
    ],
    'webpack, the path of the binary': [[...webpack, 'webpack.asset.cjs'], 'out/webpack.cjs'],
    'webpack, an ES module': [[...webpack, 'webpack.module.cjs'], 'out/webpack.mjs'],
    'vite build --ssr, the path of the binary': [
      [...vite, '--outDir', 'out/assets', '--config', 'vite.assets.config.mjs'],
      'out/assets/bundled.mjs',
    ],
  }
}

function prepare(user, { tools }) {
  give(user, PROGRAM)
  const webpack = {
    mode: 'production',
    target: 'node',
    entry: `./${PROGRAM}`,
    output: { path: join(user.folder, 'out'), filename: 'webpack.cjs' },
    resolveLoader: { modules: [tools] },
  }
  const write = (name, text) => writeFileSync(join(user.folder, name), text)
  const script = (value) => `module.exports = ${JSON.stringify(value)}\n`
  // What JSON cannot say.
  const asset = `module.exports.module = { rules: [{ test: /[.]node$/, type: 'asset/resource' }] }\n`
  const output = { ...webpack.output, filename: 'webpack.mjs', module: true }
  const asModule = { ...webpack, output, experiments: { outputModule: true } }
  write('webpack.cjs', script(webpack))
  write('webpack.external.cjs', script({ ...webpack, externals: { vmexit: 'commonjs vmexit' } }))
  write('webpack.asset.cjs', script(webpack) + asset)
  write('webpack.module.cjs', script(asModule) + asset)
  const ssr = 'ssr: { noExternal: true }'
  write('vite.all.config.mjs', `export default { ${ssr} }\n`)
  write('vite.assets.config.mjs', `export default { ${ssr}, assetsInclude: ['**/*.node'] }\n`)
}

async function assertRuns(context, user, [words, file]) {
  needsKvm()
  prepare(user, context)
  await user.run(words)
  assert.equal(await user.run(['node', file]), TOLD)
}

async function assertNotMade(context, user, words) {
  prepare(user, context)
  const { code, stdout, stderr } = await user.attempt(words)
  assert.notEqual(code, 0, stdout + stderr)
  assert.match(stdout + stderr, /vmexit-linux-x64-gnu/)
}

async function assertTells(context, user, [words, file]) {
  prepare(user, context)
  await user.run(words)
  const { code, stderr } = await user.attempt(['node', file])
  assert.notEqual(code, 0)
  assert.match(stderr, /VmError\d*\]?: .*mark vmexit as external/)
}

/** One file with the program, the package and its binary, which runs where none of them is. */
async function assertBunCompiles(context, user) {
  needsKvm()
  prepare(user, context)
  await user.run([bunOf(context.tools), 'build', '--compile', PROGRAM, '--outfile', 'out/compiled'])
  const [modules, away] = ['node_modules', 'elsewhere'].map((name) => join(user.folder, name))
  renameSync(modules, away)
  try {
    assert.equal(await user.run([join(user.folder, 'out', 'compiled')]), TOLD)
  } finally {
    renameSync(away, modules)
  }
}

export function bundlerCases(context) {
  const user = () => userOf(context, context.nodes.at(-1).major)
  const cases = {}
  for (const [name, bundle] of Object.entries(working(context))) {
    cases[`${name}: the bundle runs`] = () => assertRuns(context, user(), bundle)
  }
  for (const [name, words] of Object.entries(failing(context))) {
    cases[`${name}: the build fails and names the binary`] = () =>
      assertNotMade(context, user(), words)
  }
  for (const [name, bundle] of Object.entries(telling(context))) {
    cases[`${name}: the bundle says to mark vmexit as external`] = () =>
      assertTells(context, user(), bundle)
  }
  cases['bun build --compile: the program runs alone'] = () => assertBunCompiles(context, user())
  return cases
}
