// Bundlers: a bundle that leaves the package outside runs; one that takes it in runs, or is never made.
import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../run.mjs'
import { give, userOf } from './install.mjs'
import { needsKvm } from './skip.mjs'

const PROGRAM = 'bundled.mjs'
const TOLD = 'hlt Hello, world!\n'

const own = (name) => join(root, 'node_modules', '.bin', name)

/** Each with the words of a build, and the file that comes out. */
function bundles({ tools }) {
  const esbuild = [own('esbuild'), PROGRAM, '--bundle', '--platform=node', '--log-level=error']
  const rolldown = [
    'node',
    own('rolldown'),
    PROGRAM,
    '--platform',
    'node',
    '--format',
    'esm',
    '--dir',
  ]
  const webpack = ['node', join(tools, 'webpack-cli', 'bin', 'cli.js'), '--config']
  const vite = [
    'node',
    join(tools, 'vite', 'bin', 'vite.js'),
    'build',
    '--ssr',
    PROGRAM,
    '--logLevel',
    'error',
  ]
  return {
    runs: {
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
      'webpack, external': [[...webpack, 'webpack.external.cjs'], 'out/webpack.cjs'],
      'vite build --ssr': [[...vite, '--outDir', 'out/vite'], 'out/vite/bundled.mjs'],
    },
    fails: {
      esbuild: [...esbuild, '--format=esm', '--outfile=out/none.mjs'],
      rolldown: [...rolldown, 'out/none'],
      webpack: [...webpack, 'webpack.cjs'],
      'vite build --ssr that takes everything in': [
        ...[...vite, '--outDir', 'out/none', '--config', 'vite.all.config.mjs'],
      ],
    },
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
  const module = (value) => `module.exports = ${JSON.stringify(value)}\n`
  write('webpack.cjs', module(webpack))
  write('webpack.external.cjs', module({ ...webpack, externals: { vmexit: 'commonjs vmexit' } }))
  write('vite.all.config.mjs', 'export default { ssr: { noExternal: true } }\n')
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

/** One file with the program, the package and its binary, which runs where none of them is. */
async function assertBunCompiles(context, user) {
  needsKvm()
  prepare(user, context)
  const bun = join(context.tools, '@oven', 'bun-linux-x64', 'bin', 'bun')
  await user.run([bun, 'build', '--compile', PROGRAM, '--outfile', 'out/compiled'])
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
  const { runs, fails } = bundles(context)
  const cases = {}
  for (const [name, bundle] of Object.entries(runs)) {
    cases[`${name}: the bundle runs`] = () => assertRuns(context, user(), bundle)
  }
  for (const [name, words] of Object.entries(fails)) {
    cases[`${name}: the build fails and names the binary`] = () =>
      assertNotMade(context, user(), words)
  }
  cases['bun build --compile: the program runs alone'] = () => assertBunCompiles(context, user())
  return cases
}
