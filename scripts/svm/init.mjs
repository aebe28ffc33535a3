// What runs inside: PID 1, which makes the machine ready, and the work that it then does. The host
// and the machine share a folder, by the same path on both sides; all that either tells the other
// is a file in there.
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../run.mjs'
import { guestModuleNames, moduleNames } from './parts.mjs'

const CPIO_SECONDS = 300

const quote = (text) => `'${String(text).replaceAll("'", String.raw`'\''`)}'`

/** PID 1. What fails says so on the console, which the host shows, and turns the machine off. */
const initScript = (folder) => `#!/bin/busybox sh
set -e
trap '/bin/busybox poweroff -f' EXIT
PATH=/bin
/bin/busybox --install -s /bin
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"; }
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in ${moduleNames.join(' ')}; do insmod /modules/$module.ko; done
[ -c /dev/kvm ]
share host /host ro,cache=loose
# All that the machine writes stays in its memory.
mount -t tmpfs -o size=75% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
ln -s /proc/self/fd /dev/fd
for pair in 0:stdin 1:stdout 2:stderr; do ln -s "fd/\${pair%:*}" "/dev/\${pair#*:}"; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o ptmxmode=0666 devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
share work ${quote(`/root${folder}`)} cache=none
ip link set lo up
# Not chroot: in there no program may make user namespaces, as passt does.
exec switch_root /root /bin/sh ${quote(join(folder, 'work'))}
`

/** The machine takes one step after the other that no other machine has taken. */
const workScript = (folder, binds, environment) => `
cd ${quote(folder)}
${Object.entries(binds)
  .map(([at, from]) => `mkdir -p ${quote(at)}; mount --bind ${quote(from)} ${quote(at)}`)
  .join('\n')}
${Object.entries(environment)
  .map(([name, value]) => `export ${name}=${quote(value)}`)
  .join('\n')}
: >"ready-$machine"
for step in step-*; do
  ln -s "$machine" "$step/machine" 2>/dev/null || continue
  /bin/sh "$step/command" </dev/null >"$step/out" 2>"$step/err"
  echo $? >"$step/status"
  # What a step leaves running would take the time of the next one.
  kill -9 -1
done
: >"done-$machine"
echo o >/proc/sysrq-trigger
sleep 60
`

const stepScript = ({ directory, command, seconds }, together) => `
cd ${quote(directory)} || exit
${together ? 'exec 2>&1' : ''}
exec timeout -k 5 ${[seconds, ...command].map(quote).join(' ')}
`

/** The name of a step's folder; in the order of their names they are taken. */
export const stepFolder = (index) => `step-${String(index).padStart(4, '0')}`

/** An initramfs of a busybox, an init, empty folders and other files, as `tree`.cpio. */
async function initramfs(tree, busybox, init, folders, files = []) {
  for (const name of ['bin', ...folders]) mkdirSync(join(tree, name), { recursive: true })
  copyFileSync(busybox, join(tree, 'bin', 'busybox'))
  for (const [name, from] of files) copyFileSync(from, join(tree, name))
  writeFileSync(join(tree, 'init'), init, { mode: 0o755 })
  const script = 'cd "$0" && find . | "$1" cpio -o -H newc >"$0.cpio"'
  await run(['sh', '-c', script, tree, busybox], { seconds: CPIO_SECONDS })
  return `${tree}.cpio`
}

/** Writes into `folder` what the machines and their host share, for the job that they do. */
export async function layOut(folder, { kernel, busybox }, { steps, binds, environment, together }) {
  writeFileSync(join(folder, 'work'), workScript(folder, binds, environment))
  for (const [index, step] of steps.entries()) {
    mkdirSync(join(folder, stepFolder(index)))
    writeFileSync(join(folder, stepFolder(index), 'command'), stepScript(step, together))
  }
  const modules = moduleNames.map((name) => [`modules/${name}.ko`, join(kernel, `${name}.ko`)])
  const folders = ['proc', 'dev', 'host', 'layer', 'root', 'modules']
  await initramfs(join(folder, 'initramfs'), busybox, initScript(folder), folders, modules)
}

// The kernel makes a variable of what it does not know: load=virtio_mmio,virtio_blk loads these
// modules in this order, and run=COMMAND gets the command done before the shell.
const GUEST_INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sys /sys
for module in $(echo $load | tr , ' '); do insmod /modules/$module.ko; done
[ -z "$run" ] || eval "$run"
echo greetings from init on $(nproc) processors
exec /bin/busybox setsid /bin/busybox cttyhack /bin/sh
`

/** The same Linux once more, as a guest for the machine's own KVM. */
export async function layOutGuest(folder, { kernel, kernels, busybox }) {
  mkdirSync(folder)
  for (const name of ['vmlinuz', 'vmlinux']) symlinkSync(join(kernel, name), join(folder, name))
  const modules = guestModuleNames.map((name) => [`modules/${name}.ko`, join(kernel, `${name}.ko`)])
  const folders = ['dev', 'proc', 'sys', 'mnt', 'tmp', 'modules']
  await initramfs(join(folder, 'initramfs'), busybox, GUEST_INIT, folders, modules)
  for (const [name, from] of kernels) {
    symlinkSync(join(from, 'vmlinuz'), join(folder, `vmlinuz-${name}`))
    const own = join(from, 'busybox')
    if (!existsSync(own)) continue
    // One of the kernel's own word size.
    const tree = join(folder, `initramfs-${name}`)
    await initramfs(tree, busybox, GUEST_INIT, folders, [['bin/busybox', own]])
  }
}
