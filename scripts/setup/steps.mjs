// What set-up runs, in order. A step runs when its inputs differ from the stamp or an output is missing.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'

const manifest = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

function npmSettings() {
  const { devDependencies, optionalDependencies, overrides } = manifest()
  return JSON.stringify([devDependencies, optionalDependencies, overrides])
}

/** The parts of package.json that reach the native build. */
function nativeSettings() {
  const { name, version, napi, scripts } = manifest()
  return JSON.stringify([name, version, napi, scripts['build:native']])
}

export const steps = [
  {
    name: 'install',
    title: 'installing npm packages',
    // As locked, and the lock file stays as it is. Not `npm ci`: that refuses a lock file without the packages of other
    // platforms, and a registry that mirrors one platform lets no other be written.
    command: ['npm', 'install', '--no-save', '--no-audit', '--no-fund'],
    inputs: ['package-lock.json'],
    extra: npmSettings,
    outputs: ['node_modules/.package-lock.json'],
  },
  {
    name: 'native',
    title: 'building the native addon (about a minute the first time)',
    command: ['npm', 'run', '--silent', 'build:native'],
    inputs: [
      'crates',
      'guest',
      'build.rs',
      'Cargo.toml',
      'rust-toolchain.toml',
      'scripts/words.mjs',
    ],
    extra: nativeSettings,
    outputs: ['vmexit.linux-x64-gnu.node', 'index.d.ts'],
    // Written by the step and committed, so a checkout can change them too.
    generated: ['Cargo.lock', 'index.d.ts', 'src/native/words.generated.ts'],
  },
  {
    name: 'typescript',
    title: 'compiling TypeScript',
    command: ['npm', 'run', '--silent', 'build:ts'],
    inputs: [
      'src',
      'tsconfig.json',
      'tsconfig.build.json',
      'index.d.ts',
      'native.d.cts',
      'scripts/typescript.mjs',
    ],
    extra: () => manifest().scripts['build:ts'],
    outputs: ['dist/index.js', 'dist/index.cjs', 'dist/cli/main.js'],
  },
]
