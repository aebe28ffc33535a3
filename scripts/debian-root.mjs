// A small Debian on a disk, made of its packages by mmdebstrap: `root.ext4` with its own kernel and
// its own initramfs, both also beside it. Nothing of it is installed on the host. Made once, and
// kept in .cache/debian-root.
//
//   node scripts/debian-root.mjs        makes it, and prints its folder
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { apt, unpack } from './debian.mjs'
import { Failure, root, run } from './run.mjs'
import { temporaryDirectory } from './scope.mjs'

const SECONDS = 900
const BYTES = '640M'

const PACKAGES = [
  ...['linux-image-cloud-amd64', 'initramfs-tools', 'busybox', 'systemd-sysv', 'udev', 'kmod'],
  ...['e2fsprogs', 'iproute2'],
]

/** What nothing here reads: half of the image. */
const LEFT_OUT = ['doc', 'man', 'info', 'locale', 'i18n', 'zoneinfo']

/** The name root logs in with, and the password. */
const PASSWORD = 'vmexit'

/** Inside the tree, before it is packed. */
const CUSTOMIZE = [
  `chroot "$1" sh -c 'echo root:${PASSWORD} | chpasswd'`,
  `echo vmexit >"$1/etc/hostname"`,
  `echo '/dev/vda / ext4 errors=remount-ro 0 1' >"$1/etc/fstab"`,
  // A login prompt, and not the time of day from a network that is not there.
  `chroot "$1" systemctl mask systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer`,
]

/** The package sources of this host. */
function sources() {
  const folder = '/etc/apt/sources.list.d'
  const others = existsSync(folder) ? readdirSync(folder) : []
  const files = others.filter((name) => /\.(list|sources)$/.test(name))
  const all = ['/etc/apt/sources.list', ...files.map((name) => join(folder, name))]
  return all.filter((path) => existsSync(path) && statSync(path).size > 0)
}

/** The release whose packages the host gets, such as bookworm. */
async function suite() {
  const text = await run(['sh', '-c', '. /etc/os-release && echo "$ID $VERSION_CODENAME"'])
  const [id, name] = text.trim().split(' ')
  if (id !== 'debian')
    throw new Failure(`a Debian is made of a Debian host's packages, not ${id}'s`)
  return name
}

async function make(folder) {
  await apt(folder, ['apt-get', '-qq', 'update'])
  const tree = await unpack(folder, ['mmdebstrap'])
  const bin = join(tree, 'usr', 'bin')
  const isRoot = process.getuid() === 0
  const tar = join(folder, 'root.tar')
  const options = [
    ...[`--mode=unshare`, '--variant=minbase', `--include=${PACKAGES}`],
    `--aptopt=Acquire::Check-Valid-Until "false"`,
    ...LEFT_OUT.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    ...CUSTOMIZE.map((line) => `--customize-hook=${line}`),
  ]
  const env = { ...process.env, LC_ALL: 'C', PATH: `${bin}:/usr/sbin:/sbin:${process.env.PATH}` }
  const words = ['perl', join(bin, 'mmdebstrap'), ...options, await suite(), tar, ...sources()]
  await run(words, { seconds: SECONDS, env })
  const kept = join(folder, 'kept')
  mkdirSync(kept)
  // As root, or as somebody who looks like it: the owners of the files are those in the archive.
  const script = `set -e
mkdir "$0/root" && tar -C "$0/root" -xf "$0/root.tar" --exclude=./dev/*
cp "$0"/root/boot/vmlinuz-* "$0/kept/vmlinuz" && cp "$0"/root/boot/initrd.img-* "$0/kept/initrd.img"
chmod a+r "$0/kept/"*
mkfs.ext4 -q -F -L root -d "$0/root" "$0/kept/root.ext4" ${BYTES}
rm -rf "$0/root"`
  await run([...(isRoot ? [] : ['fakeroot']), 'sh', '-c', script, folder], {
    seconds: SECONDS,
    env,
  })
  return kept
}

/** The folder with `root.ext4`, `vmlinuz` and `initrd.img`. */
export async function debianRoot(say) {
  const cache = join(root, '.cache')
  const target = join(cache, 'debian-root')
  if (existsSync(target)) return target
  say('making a Debian of its packages')
  mkdirSync(cache, { recursive: true })
  renameSync(await make(temporaryDirectory(cache)), target)
  return target
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.stdout.write(`${await debianRoot((line) => process.stderr.write(`${line}\n`))}\n`)
  } catch (error) {
    process.stderr.write(`${error instanceof Failure ? error.message : error.stack}\n`)
    process.exitCode = 1
  }
}
