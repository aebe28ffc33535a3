// Viewers of VNC, from Debian, kept in .cache/viewers: virt-viewer, with an X server without a screen and what types into it, and noVNC. Nothing is installed: a command
// runs in a mount namespace of its own, in which /usr shows what was unpacked over the host's own.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { apt, unpack } from './debian.mjs'
import { Failure, attempt, root } from './run.mjs'
import { temporaryDirectory } from './scope.mjs'

const PACKAGES = ['virt-viewer', 'xvfb', 'xdotool']
/** Its pages; what it depends on is a server for them. */
const PAGES = 'novnc'

const cache = join(root, '.cache')

/** Words that start a command where /usr has the viewers, too. */
export function within(usr, words) {
  const script = 'mount -t overlay viewers -o lowerdir="$0:/usr" /usr && exec "$@"'
  return ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script, usr, ...words]
}

/** With those that they need and this host lacks. */
async function wanted(ask) {
  const args = ['install', '--print-uris', '-qq', '--no-install-recommends', ...PACKAGES]
  const files = (await ask('apt-get', ...args)).matchAll(/^'[^']*' ([^_\s]+)_([^_\s]+)_\S+/gm)
  return [...files].map(([, file, version]) => `${file}=${decodeURIComponent(version)}`)
}

/** The folder to lay over /usr; throws with the reason where they cannot be had, or not run. */
export async function fetchViewers() {
  const target = join(cache, 'viewers')
  const usr = join(target, 'usr')
  if (!existsSync(target)) {
    mkdirSync(cache, { recursive: true })
    const folder = temporaryDirectory(cache)
    const updated = await apt(folder, ['apt-get', '-qq', 'update']).catch((error) => error.message)
    try {
      const names = await wanted((...words) => apt(folder, words))
      const tree = await unpack(folder, [...names, PAGES])
      // Where /lib is in /usr, and packages do not know.
      if (existsSync(join(tree, 'lib'))) {
        cpSync(join(tree, 'lib'), join(tree, 'usr/lib'), {
          recursive: true,
          verbatimSymlinks: true,
        })
        rmSync(join(tree, 'lib'), { recursive: true })
      }
      renameSync(tree, target)
    } catch (error) {
      throw new Failure([updated, error.message].filter(Boolean).join('\n'))
    }
  }
  const { code, stderr } = await attempt(within(usr, ['virt-viewer', '--version']), { seconds: 30 })
  if (code !== 0) throw new Failure(`no mount namespace for viewers: ${stderr.trim()}`)
  return usr
}
