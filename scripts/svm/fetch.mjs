// What the machine is made of: QEMU, a kernel with KVM for AMD, a static busybox, and lz4 to unpack the kernel; cached by version.
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { root } from '../run.mjs'
import { Packages } from './packages.mjs'
import { Failure, removeDirectory, temporaryDirectory } from './scope.mjs'

const KERNEL = 'linux-image-cloud-amd64'
const BUSYBOX = 'busybox-static'
const LZ4 = 'lz4'
const QEMU = 'qemu-system-x86'
const QEMU_COMMAND = 'qemu-system-x86_64'

const cache = join(root, '.cache', 'svm')

const HOW_TO_GO_ON =
  'this needs apt-get and dpkg-deb with a Debian package source, and the network the first time'

/** Where a command stands on PATH, or in the folders that only root has there. */
export function findCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** The newest unpacked version of a package in the cache. */
function cached(pattern) {
  const names = existsSync(cache) ? readdirSync(cache).filter((name) => pattern.test(name)) : []
  const newest = names.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  return newest && join(cache, newest)
}

/** Hands `select` a fresh set of lists; it returns the name of a package and all that is to be unpacked with it. */
async function download(select) {
  if (!findCommand('apt-get') || !findCommand('dpkg-deb')) {
    throw new Failure(`apt-get or dpkg-deb not found\n${HOW_TO_GO_ON}`)
  }
  mkdirSync(cache, { recursive: true })
  const directory = temporaryDirectory(cache)
  try {
    const packages = new Packages(directory)
    await packages.update()
    const { name, wanted } = await select(packages)
    return await packages.unpack(name, wanted, cache)
  } catch (error) {
    throw new Failure(`${error.message}\n${HOW_TO_GO_ON}`, { cause: error })
  } finally {
    removeDirectory(directory)
  }
}

async function selectKernel(packages) {
  const name = await packages.behind(KERNEL)
  return { name, wanted: [name] }
}

const selectBusybox = () => ({ name: BUSYBOX, wanted: [BUSYBOX] })

const selectLz4 = () => ({ name: LZ4, wanted: [LZ4] })

async function selectQemu(packages) {
  return { name: QEMU, wanted: await packages.withDependencies(QEMU) }
}

async function get(say, name, pattern, select) {
  const found = cached(pattern)
  if (found) return found
  say(`downloading ${name}`)
  return download(select)
}

/** QEMU as unpacked in `tree`, with the libraries that the host lacks. */
function unpackedQemu(tree) {
  const folders = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
  const libraries = folders.map((path) => join(tree, path))
  const path = [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter)
  return {
    command: join(tree, 'usr/bin', QEMU_COMMAND),
    firmware: join(tree, 'usr/share/qemu'),
    env: { ...process.env, LD_LIBRARY_PATH: path },
  }
}

/** The host's QEMU, or one of our own. */
async function getQemu(say) {
  const command = findCommand(QEMU_COMMAND)
  if (command) return { command, firmware: '/usr/share/qemu', env: process.env }
  return unpackedQemu(await get(say, QEMU, /^qemu-system-x86_/, selectQemu))
}

/** The host's lz4, or one of our own: its library is on every host that has apt. */
async function getLz4(say) {
  return findCommand(LZ4) ?? join(await get(say, LZ4, /^lz4_/, selectLz4), 'usr/bin', LZ4)
}

/** `{ qemu: { command, firmware, env }, kernel, busybox, lz4 }`, with a message where something has to be downloaded. */
export async function fetchParts(say) {
  const kernel = await get(say, KERNEL, /^linux-image-.*cloud-amd64_/, selectKernel)
  const busybox = await get(say, BUSYBOX, /^busybox-static_/, selectBusybox)
  const binary = ['bin/busybox', 'usr/bin/busybox'].find((path) => existsSync(join(busybox, path)))
  const lz4 = await getLz4(say)
  return { qemu: await getQemu(say), kernel, busybox: join(busybox, binary), lz4 }
}
