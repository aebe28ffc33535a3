// Runtimes, test runners and bundlers that the package is tested with, beside Node.js and what this project has itself.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache } from './targets.mjs'

/** Vitest 4 is the newest that runs on Node.js 20. Of Bun and Deno the programs, which `bun` and `deno` fetch by an install script. */
const WANTED = {
  '@deno/linux-x64-glibc': '2.9.6',
  '@oven/bun-linux-x64': '1.4.5',
  jest: '30.5.2',
  vite: '8.3.8',
  vitest: '4.1.12',
  webpack: '5.112.2',
  'webpack-cli': '7.3.1',
}

/** The node_modules that hold them; what is missing is downloaded, about 300 MB. */
export function tools(say) {
  const folder = join(cache, 'tools')
  const stamp = join(folder, 'stamp.json')
  const text = JSON.stringify(WANTED)
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== text) {
    say(`downloading ${Object.keys(WANTED).join(', ')}`)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const wanted = Object.entries(WANTED).map(([name, version]) => `${name}@${version}`)
    const quiet = ['--no-audit', '--no-fund', '--ignore-scripts']
    must(['npm', 'install', '--prefix', folder, ...quiet, ...wanted])
    writeFileSync(stamp, text)
  }
  return join(folder, 'node_modules')
}
