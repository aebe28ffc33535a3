// Programs that look at machines, from Debian, kept in .cache: viewers of VNC and noVNC in .cache/viewers, clients of libvirt in .cache/clients, each with an X server
// without a screen, gdb in .cache/gdb and Redis in .cache/redis. Nothing is installed: a command runs in a mount namespace of its own, in which /usr and /etc show what was unpacked over the host's own.
import { randomBytes } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { apt, unpack } from './debian.mjs'
import { Failure, attempt, root, run } from './run.mjs'
import { temporaryDirectory } from './scope.mjs'

const cache = join(root, '.cache')

const viewers = {
  name: 'viewers',
  packages: ['virt-viewer', 'xvfb', 'xdotool'],
  /** Its pages; what it depends on is a server for them. */
  alone: ['novnc'],
  probe: ['virt-viewer', '--version'],
}

const desktop = [
  ...['xvfb', 'xdotool', 'dbus-daemon', 'at-spi2-core', 'gir1.2-atspi-2.0', 'python3-gi'],
  ...['fonts-dejavu-core', 'adwaita-icon-theme', 'librsvg2-common', 'libglib2.0-bin'],
]

const clients = {
  name: 'clients',
  packages: ['libvirt-clients', 'virtinst', 'virt-manager', 'virt-viewer', ...desktop],
  alone: [],
  probe: ['virt-manager', '--version'],
}

const debuggers = { name: 'gdb', packages: ['gdb'], alone: [], probe: ['gdb', '--version'] }

const redis = {
  name: 'redis',
  packages: ['redis-server'],
  alone: [],
  probe: ['redis-server', '--version'],
}

/** Words that start a command where /usr has what was fetched, too; as they are for the host's own /usr. */
export function within(usr, words, flags = []) {
  if (usr === '/usr') return [...words]
  const lay = (to, from) => `mount -t overlay fetched -o lowerdir="${from}:${to}" ${to}`
  const etc = `{ [ ! -d "$0/../etc" ] || ${lay('/etc', '$0/../etc')}; }`
  const script = `${lay('/usr', '$0')} && ${etc} && exec "$@"`
  const own = ['unshare', '--user', '--map-root-user', '--mount', ...flags]
  return [...own, 'sh', '-c', script, usr, ...words]
}

/** With those that they need and this host lacks. */
async function wanted(ask, packages) {
  const args = ['install', '--print-uris', '-qq', '--no-install-recommends', ...packages]
  const files = (await ask('apt-get', ...args)).matchAll(/^'[^']*' ([^_\s]+)_([^_\s]+)_\S+/gm)
  return [...files].map(([, file, version]) => `${file}=${decodeURIComponent(version)}`)
}

/** What scripts of packages make from what the host has and what was unpacked: "$1" becomes /usr's part of it. */
const MAKE_CACHES = `
set -e
schemas=share/glib-2.0/schemas
if command -v glib-compile-schemas >/dev/null; then
  mkdir -p "$1/$schemas"
  glib-compile-schemas --targetdir="$1/$schemas" "/usr/$schemas"
fi
for query in /usr/lib/*/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders; do
  [ -x "$query" ] || continue
  loaders=$(dirname "\${query#/usr/}")/2.10.0
  mkdir -p "$1/$loaders"
  "$query" > "$1/$loaders/loaders.cache"
done
if command -v update-mime-database >/dev/null; then
  mkdir -p "$1/share"
  cp -r /usr/share/mime "$1/share/mime"
  update-mime-database "$1/share/mime"
fi
`

/** A command has its own /usr and /etc only: what links lead to in /var is put in their place. */
function copyFromVar(tree) {
  const folder = join(tree, 'usr/share/misc')
  if (!existsSync(folder)) return
  const links = readdirSync(folder, { withFileTypes: true }).filter((it) => it.isSymbolicLink())
  for (const link of links.map(({ name }) => join(folder, name))) {
    const file = join(tree, readlinkSync(link))
    if (!file.startsWith(join(tree, 'var')) || !existsSync(file)) continue
    rmSync(link)
    cpSync(file, link)
  }
}

async function makeCaches(folder, tree) {
  const made = join(folder, 'made')
  mkdirSync(made)
  const words = within(join(tree, 'usr'), ['sh', '-c', MAKE_CACHES, 'sh', made])
  await run(words, { seconds: 120, cwd: folder })
  cpSync(made, join(tree, 'usr'), { recursive: true })
  mkdirSync(join(tree, 'etc'), { recursive: true })
  writeFileSync(join(tree, 'etc/machine-id'), `${randomBytes(16).toString('hex')}\n`)
}

/** The folder to lay over /usr; throws with the reason where it cannot be had, or not run. */
async function fetchSet({ name, packages, alone, probe }) {
  const target = join(cache, name)
  const usr = join(target, 'usr')
  if (!existsSync(target)) {
    mkdirSync(cache, { recursive: true })
    const folder = temporaryDirectory(cache)
    const updated = await apt(folder, ['apt-get', '-qq', 'update']).catch((error) => error.message)
    try {
      const names = await wanted((...words) => apt(folder, words), packages)
      const tree = await unpack(folder, [...names, ...alone])
      // Where /lib is in /usr, and packages do not know.
      if (existsSync(join(tree, 'lib'))) {
        cpSync(join(tree, 'lib'), join(tree, 'usr/lib'), {
          recursive: true,
          verbatimSymlinks: true,
        })
        rmSync(join(tree, 'lib'), { recursive: true })
      }
      copyFromVar(tree)
      await makeCaches(folder, tree)
      renameSync(tree, target)
    } catch (error) {
      // Another process was faster.
      if (!existsSync(usr)) throw new Failure([updated, error.message].filter(Boolean).join('\n'))
    }
  }
  const { code, stderr } = await attempt(within(usr, probe), { seconds: 60 })
  if (code !== 0) throw new Failure(`no mount namespace for ${name}: ${stderr.trim()}`)
  return usr
}

/** virt-viewer, an X server and what types into it, and noVNC. */
export const fetchViewers = () => fetchSet(viewers)

/** The host's gdb, or Debian's. */
export async function fetchGdb() {
  const { code } = await attempt(debuggers.probe, { seconds: 60 })
  return code === 0 ? '/usr' : await fetchSet(debuggers)
}

/** The host's redis-server, or Debian's. */
export async function fetchRedis() {
  const { code } = await attempt(redis.probe, { seconds: 60 })
  return code === 0 ? '/usr' : await fetchSet(redis)
}

const hasGi = ['/usr/bin/python3', '-c', 'import gi; gi.require_version("Atspi", "2.0")']

/** Whether the host has clients installed, as one without namespaces must. */
async function areInstalled() {
  const probes = [clients.probe, ['xdotool', '--version'], ['which', 'Xvfb', 'dbus-daemon'], hasGi]
  for (const probe of probes) {
    if ((await attempt(probe, { seconds: 60 })).code !== 0) return false
  }
  return true
}

/** virsh, virt-install, virt-viewer and virt-manager, and a desktop for them. */
export async function fetchClients() {
  try {
    return await fetchSet(clients)
  } catch (error) {
    if (await areInstalled()) return '/usr'
    throw error
  }
}
