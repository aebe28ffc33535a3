// Runtimes, test runners and bundlers that the package is tested with, beside Node.js.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from './commands.mjs'
import { cache } from './targets.mjs'

const TOOLS = {
  // The programs themselves: `bun` and `deno` would fetch them by an install script.
  '@deno/linux-x64-glibc': '2.9.6',
  '@oven/bun-linux-x64': '1.4.5',
  jest: '30.5.2',
  vite: '8.3.8',
  vitest: '4.0.0',
  webpack: '5.112.2',
}

/** Of Vitest the newest that runs on Node.js 20, and the newest. */
const folder = join(cache, 'tools')

/** The folder whose node_modules hold them; what is missing is downloaded, about 300 MB. */
export function tools(say) {
  const stamp = join(folder, 'stamp.json')
  return { stamp, say }
}
