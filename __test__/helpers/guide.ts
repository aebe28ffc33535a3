// The guide, and a reader of it who has this checkout's package.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { type Chapter, chapterOf } from './guide/chapter.ts'
import type { Reader } from './guide/walk.ts'

export { type Chapter, chapterOf, modulesOf } from './guide/chapter.ts'
export { isKnown } from './guide/needs.ts'
export { type Reader, walk } from './guide/walk.ts'

/** The chapters, and the page that leads to them, in order. */
export function chapters(folder = 'docs/guide'): Chapter[] {
  const pages = readdirSync(folder).filter((name) => name.endsWith('.md'))
  return pages
    .toSorted((a, b) => Number(b === 'README.md') - Number(a === 'README.md') || (a < b ? -1 : 1))
    .map((name) => chapterOf(join(folder, name), readFileSync(join(folder, name), 'utf8')))
}

/** A virsh that tests have fetched, where the host has none. */
function virsh(): Record<string, string> {
  const usr = resolve('.cache/clients/usr')
  if (!existsSync(usr)) return {}
  const lay = `mount -t overlay fetched -o lowerdir="$0:/usr" /usr && exec /usr/bin/virsh "$@"`
  return { virsh: `exec unshare --user --map-root-user --mount sh -c '${lay}' '${usr}' "$@"` }
}

/** Any Node.js that is supported runs TypeScript, as if it were the newest. */
export function here(): Reader {
  const register = resolve('node_modules/@oxc-node/core/register.mjs')
  const node = `'${process.execPath}' --import '${pathToFileURL(register).href}'`
  const vmexit = `'${process.execPath}' '${resolve('dist/cli/main.js')}'`
  return {
    programs: {
      node: `exec ${node} "$@"`,
      ...virsh(),
      npx: `program=$1; shift
case $program in
vmexit) exec ${vmexit} "$@" ;;
tsx) exec ${node} "$@" ;;
*) echo "npx $program: not in the guide" >&2; exit 1 ;;
esac`,
    },
    path: process.env['PATH'] ?? '/usr/bin:/bin',
    packages: {
      vmexit: resolve('.'),
      '@vmexit/manager': resolve('packages/manager'),
      '@vmexit/fleet': resolve('packages/fleet'),
    },
  }
}
