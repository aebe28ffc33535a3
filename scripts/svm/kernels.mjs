// Further kernels of Debian's, for the tests that boot them as guests: one of them always, all of
// them with VMEXIT_SOAK=1. One that cannot be had is said, and its tests skip themselves.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { apt } from '../debian.mjs'
import { run } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'

const UNPACK_SECONDS = 120

const I386 = ['APT::Architectures::=amd64', 'APT::Architectures::=i386']
const BACKPORTS = { package: 'linux-image-amd64', isBackported: true }

/** By the name that the image has inside, after `vmlinuz-`. */
const ALWAYS = { rt: { package: 'linux-image-rt-amd64' } }
const SOAK = {
  cloud: { package: 'linux-image-cloud-amd64' },
  backports: BACKPORTS,
  686: { package: 'linux-image-686:i386', settings: I386, busybox: 'busybox-static:i386' },
}

/** Settings by which apt knows backports, besides the sources of the host. */
async function withBackports(folder) {
  await apt(folder, ['apt-get', '-qq', 'update']).catch(() => undefined)
  const ask = ['apt-get', 'indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Component: main']
  const [, codename] = readFileSync('/etc/os-release', 'utf8').match(/VERSION_CODENAME=(\w+)/) ?? []
  const lines = (await apt(folder, ask)).split('\n').map((line) => line.split(' '))
  const [address] = lines.find(([, release]) => release === codename) ?? []
  if (!address) throw new Error(`no source of ${codename}`)
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg'
  const option = existsSync(keys) ? ` [signed-by=${keys}]` : ''
  const list = join(folder, 'backports.list')
  writeFileSync(list, `deb${option} ${address} ${codename}-backports main\n`)
  return [`Dir::Etc::SourceList=${list}`, 'Dir::Etc::SourceParts=/dev/null']
}

/** Downloads a package and unpacks one part of it into `folder`. */
async function fetch(folder, name, paths, settings) {
  await apt(folder, ['apt-get', '-qq', 'download', name], settings)
  const file = readdirSync(folder).find((it) => it.startsWith(`${name.split(':')[0]}_`))
  const script = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --wildcards "$2"'
  const unpack = ['sh', '-c', script, join(folder, file), folder, paths]
  await run(unpack, { seconds: UNPACK_SECONDS })
}

/** Puts `vmlinuz` and perhaps `busybox` into a folder. */
async function make(folder, target, { package: name, settings = [], isBackported, busybox }) {
  const own = isBackported ? await withBackports(folder) : settings
  await apt(folder, ['apt-get', '-qq', 'update'], own).catch(() => undefined)
  const depends = await apt(folder, ['apt-cache', 'depends', name], own)
  const image = depends.match(/Depends: (linux-image\S+)/)?.[1] ?? name
  await fetch(folder, image, './boot/vmlinuz-*', own)
  mkdirSync(target)
  const [file] = readdirSync(join(folder, 'boot'))
  renameSync(join(folder, 'boot', file), join(target, 'vmlinuz'))
  if (!busybox) return
  await fetch(folder, busybox, './bin/busybox', own)
  renameSync(join(folder, 'bin/busybox'), join(target, 'busybox'))
}

/** `[name, folder]` of each kernel that can be had. */
export async function fetchKernels(cache, say) {
  const wanted = { ...ALWAYS, ...(process.env.VMEXIT_SOAK === '1' ? SOAK : {}) }
  const found = []
  for (const [name, kernel] of Object.entries(wanted)) {
    const target = join(cache, `kernel-${name}`)
    try {
      if (!existsSync(target)) {
        say(`downloading ${kernel.package} (${name})`)
        const folder = temporaryDirectory(cache)
        await make(folder, join(folder, 'kept'), kernel)
        renameSync(join(folder, 'kept'), target)
      }
      found.push([name, target])
    } catch (error) {
      say(`no kernel '${name}' to boot as a guest: ${error.message.trim().split('\n').at(-1)}`)
    }
  }
  return found
}
