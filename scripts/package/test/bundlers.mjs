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

/** What is done with the package: the words of a build, and the file that comes out. */
function builds({ tools }) {
  const esbuild = (file, ...words) => [
    [own('esbuild'), PROGRAM, '--bundle', '--platform=node', '--log-level=error', ...words].concat(
      `--format=${file.endsWith('.cjs') ? 'cjs' : 'esm'}`,
      `--outfile=out/${file}`,
    ),
    `out/${file}`,
  ]
  const rolldown = (folder, ...words) => [
    ['node', own('rolldown'), PROGRAM, '--platform', 'node', '--format', 'esm', ...words].concat(
      '--dir',
      `out/${folder}`,
    ),
    `out/${folder}/bundled.js`,
  ]
  const webpack = (config, file) => [
    ['node', join(tools, 'webpack-cli', 'bin', 'cli.js'), '--config', config],
    `out/${file}`,
  ]
  const vite = (folder, ...words) => [
    ['node', join(tools, 'vite', 'bin', 'vite.js'), 'build', '--ssr', PROGRAM, ...words].concat(
      '--logLevel',
      'error',
      '--outDir',
      `out/${folder}`,
    ),
    `out/${folder}/bundled.mjs`,
  ]
  return {
    /** The bundle runs. */
    working: {
      'esbuild, external': esbuild('esbuild.mjs', '--external:vmexit'),
      'esbuild, with its loader for binaries': esbuild('esbuild.cjs', '--loader:.node=copy'),
      'rolldown, external': rolldown('rolldown', '--external', 'vmexit'),
      'rolldown, which copies binaries': rolldown('copied', '--module-types', '.node=copy'),
      'webpack, external': webpack('webpack.external.cjs', 'webpack.cjs'),
      'vite build --ssr': vite('vite'),
      'vite build --ssr that takes all in but vmexit': vite(
        'external',
        '--config',
        'vite.external.config.mjs',
      ),
      'bun build': [
        [bunOf(tools), 'build', PROGRAM, '--target=node', '--outdir', 'out/bun'],
        'out/bun/bundled.js',
      ],
    },
    /** They take the package in and its binary not. */
    failing: {
      esbuild: esbuild('none.mjs'),
      rolldown: rolldown('none'),
      webpack: webpack('webpack.cjs'),
      'vite build --ssr that takes everything in': vite('none', '--config', 'vite.all.config.mjs'),
    },
    /** They are told to take in files of any kind: the bundle says what to do. */
    telling: {
      'esbuild, an ES module with a copied binary': esbuild('tells.mjs', '--loader:.node=copy'),
      'esbuild, the path of the binary': esbuild('tells.cjs', '--loader:.node=file'),
      'esbuild, the bytes of the binary': esbuild('bytes.cjs', '--loader:.node=binary'),
      'rolldown, the path of the binary': rolldown('asset', '--module-types', '.node=asset'),
      'webpack, the path of the binary': webpack('webpack.asset.cjs', 'webpack.cjs'),
      'webpack, an ES module': webpack('webpack.module.cjs', 'webpack.mjs'),
      'vite build --ssr, the path of the binary': vite(
        'assets',
        '--config',
        'vite.assets.config.mjs',
      ),
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
  const but = `ssr: { noExternal: true, external: ['vmexit'] }`
  write('vite.external.config.mjs', `export default { ${but} }\n`)
  write('vite.all.config.mjs', `export default { ${ssr} }\n`)
  write('vite.assets.config.mjs', `export default { ${ssr}, assetsInclude: ['**/*.node'] }\n`)
}

async function assertRuns(user, [words, file]) {
  needsKvm()
  await user.run(words)
  assert.equal(await user.run(['node', file]), TOLD)
}

async function assertNotMade(user, [words]) {
  const { code, stdout, stderr } = await user.attempt(words)
  assert.notEqual(code, 0, stdout + stderr)
  assert.match(stdout + stderr, /vmexit-linux-x64-gnu/)
}

async function assertTells(user, [words, file]) {
  await user.run(words)
  const { code, stderr } = await user.attempt(['node', file])
  assert.notEqual(code, 0)
  assert.match(stderr, /VmError\d*\]?: .*mark vmexit as external/)
}

/** One file with the program, the package and its binary, which runs where none of them is. */
async function assertBunCompiles(user, [words, file]) {
  needsKvm()
  await user.run(words)
  const [modules, away] = ['node_modules', 'elsewhere'].map((name) => join(user.folder, name))
  renameSync(modules, away)
  try {
    assert.equal(await user.run([join(user.folder, file)]), TOLD)
  } finally {
    renameSync(away, modules)
  }
}

export function bundlerCases(context) {
  const { working, failing, telling } = builds(context)
  const file = 'out/compiled'
  const compiled = [bunOf(context.tools), 'build', '--compile', PROGRAM, '--outfile', file]
  const outcomes = [
    ['the bundle runs', assertRuns, working],
    ['the build fails and names the binary', assertNotMade, failing],
    ['the bundle says to mark vmexit as external', assertTells, telling],
    ['the program runs alone', assertBunCompiles, { 'bun build --compile': [compiled, file] }],
  ]
  const cases = outcomes.flatMap(([outcome, assertIt, found]) =>
    Object.entries(found).map(([name, build]) => [
      `${name}: ${outcome}`,
      () => {
        const user = userOf(context, context.nodes.at(-1).major)
        prepare(user, context)
        return assertIt(user, build)
      },
    ]),
  )
  return Object.fromEntries(cases)
}
