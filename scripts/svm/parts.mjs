// What the machine is made of: QEMU, a kernel with KVM for AMD and 9p, a static busybox, and passt
// for tests, from Debian, kept in .cache/svm.
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { apt, unpack } from '../debian.mjs'
import { Failure, capture, root, run } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'
import { fetchKernels } from './kernels.mjs'

const KERNEL = 'linux-image-amd64'
const BUSYBOX = 'busybox-static'
const QEMU = 'qemu-system-x86'
const PASST = 'passt'

const UNPACK_SECONDS = 60

// In the order of loading: each follows those that it needs.
const MODULES = [
  ...['drivers/virtio/virtio_ring', 'drivers/virtio/virtio', 'drivers/virtio/virtio_mmio'],
  ...['fs/netfs/netfs', 'fs/fscache/fscache', 'net/9p/9pnet', 'net/9p/9pnet_virtio', 'fs/9p/9p'],
  ...['fs/overlayfs/overlay', 'virt/lib/irqbypass', 'drivers/crypto/ccp/ccp'],
  ...['arch/x86/kvm/kvm', 'arch/x86/kvm/kvm-amd'],
]

export const moduleNames = MODULES.map((path) => basename(path))

// Of the same kernel, for the guests that run inside; each of them names those that it loads.
const GUEST_MODULES = [
  ...['drivers/virtio/virtio_ring', 'drivers/virtio/virtio', 'drivers/virtio/virtio_mmio'],
  ...[
    'drivers/block/virtio_blk',
    'drivers/char/virtio_console',
    'drivers/char/hw_random/virtio-rng',
  ],
  ...['net/core/failover', 'drivers/net/net_failover', 'drivers/net/virtio_net'],
  ...[
    'crypto/crc32c_generic',
    'lib/libcrc32c',
    'lib/crc16',
    'fs/mbcache',
    'fs/jbd2/jbd2',
    'fs/ext4/ext4',
  ],
  ...['drivers/input/evdev', 'drivers/acpi/button'],
]

export const guestModuleNames = GUEST_MODULES.map((path) => basename(path))

/** A folder of the cache that holds other modules is not this one. */
const keptName = (name) =>
  name === KERNEL
    ? `${name}-${createHash('sha256').update(`${MODULES} ${GUEST_MODULES}`).digest('hex').slice(0, 8)}`
    : name

const cache = join(root, '.cache', 'svm')

const HOW_TO_GO_ON =
  'this needs apt-get, dpkg-deb and xz with a Debian package source, and the network the first time'

/** Where a command stands on PATH. */
export function findCommand(name) {
  const { ok, output } = capture(['which', name])
  return ok ? output.trim() : undefined
}

/** The packages to download for one. */
async function wanted(name, ask) {
  if (name === QEMU) {
    // With those that it needs and this host lacks.
    const args = ['install', '--print-uris', '-qq', '--no-install-recommends', name]
    const files = (await ask('apt-get', ...args)).matchAll(/^'[^']*' ([^_\s]+)_([^_\s]+)_\S+/gm)
    return [...files].map(([, file, version]) => `${file}=${decodeURIComponent(version)}`)
  }
  // Of a metapackage what it stands for.
  return [(await ask('apt-cache', 'depends', name)).match(/Depends: (linux-image\S+)/)?.[1] ?? name]
}

/** Of the kernel's tree what the machine needs: the image, packed and unpacked, and modules. */
async function keepKernel(tree, folder) {
  const [release] = readdirSync(join(tree, 'lib/modules'))
  mkdirSync(folder)
  for (const path of new Set([...MODULES, ...GUEST_MODULES])) {
    const from = join(tree, 'lib/modules', release, 'kernel', `${path}.ko`)
    copyFileSync(from, join(folder, basename(from)))
  }
  const image = join(tree, 'boot', `vmlinuz-${release}`)
  copyFileSync(image, join(folder, 'vmlinuz'))
  const packed = readFileSync(image).indexOf('\xFD7zXZ\0', 0, 'latin1')
  const script = `tail -c +${packed + 1} "$0" | xz -dc --single-stream >"$1"`
  await run(['sh', '-c', script, image, join(folder, 'vmlinux')], { seconds: UNPACK_SECONDS })
}

/** The folder in the cache that holds a package. */
async function part(name, say) {
  const target = join(cache, keptName(name))
  if (existsSync(target)) return target
  say(`downloading ${name}`)
  mkdirSync(cache, { recursive: true })
  const folder = temporaryDirectory(cache)
  // One source that fails need not matter: its reason is kept for a failure that follows.
  const updated = await apt(folder, ['apt-get', '-qq', 'update']).catch((error) => error.message)
  try {
    const ask = (...words) => apt(folder, words)
    const tree = await unpack(folder, await wanted(name, ask))
    const kept = name === KERNEL ? join(folder, 'kept') : tree
    if (name === KERNEL) await keepKernel(tree, kept)
    // Renamed when complete, so that an interrupted download never looks like a cached one.
    renameSync(kept, target)
    return target
  } catch (error) {
    throw new Failure([updated, error.message, HOW_TO_GO_ON].filter(Boolean).join('\n'))
  }
}

/** The host's QEMU, or one of our own with the libraries that the host lacks. */
async function getQemu(say) {
  const command = findCommand('qemu-system-x86_64')
  if (command) return { command, firmware: '/usr/share/qemu', libraries: '' }
  const tree = await part(QEMU, say)
  const folders = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((at) => join(tree, at))
  return {
    command: join(tree, 'usr/bin/qemu-system-x86_64'),
    firmware: join(tree, 'usr/share/qemu'),
    libraries: [...folders, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
  }
}

/**
 * `{ kernel, kernels, busybox, passt, qemu: { command, firmware, libraries } }`, with a message for a
 * download.
 */
export async function fetchParts(say) {
  const kernel = await part(KERNEL, say)
  const tree = await part(BUSYBOX, say)
  const busybox = ['bin', 'usr/bin'].map((at) => join(tree, at, 'busybox')).find(existsSync)
  const passt = join(await part(PASST, say), 'usr/bin')
  const kernels = await fetchKernels(cache, say)
  return { kernel, kernels, busybox, passt, qemu: await getQemu(say) }
}
