// What runs inside: PID 1, which makes the machine ready, and the job, which it runs on the project's disk.
import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { archive, directory, file } from './cpio.mjs'
import { Failure } from './scope.mjs'

// The package has no modules.dep: each follows those that it needs. ext4 is built in.
const MODULES = [
  'virt/lib/irqbypass',
  'arch/x86/kvm/kvm',
  'arch/x86/kvm/kvm-amd',
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_mmio',
  'drivers/char/virtio_console',
  'drivers/block/virtio_blk',
  'fs/overlayfs/overlay',
]

/** The names of the ports from the machine to its host; `events` carries what `machine.mjs` goes by. */
export const PORTS = ['out', 'err', 'events']

/** The port the other way: the index of the step to run next, or `end`. */
export const ORDERS = 'orders'

const TITLE_MARK = '== '

const quote = (text) => `'${String(text).replaceAll("'", String.raw`'\''`)}'`

/** PID 1. Anything that fails here is said on the console, which the host shows, and turns the machine off. */
function initScript(unixSeconds) {
  return `#!/bin/busybox sh
PATH=/bin
off() { echo o >/proc/sysrq-trigger; sleep 60; }
die() { echo "svm: $*" >/dev/console; off; }
port() { grep -lx "$1" /sys/class/virtio-ports/*/name 2>/dev/null | sed 's|.*/\\(.*\\)/name|/dev/\\1|'; }
/bin/busybox mkdir -p /proc /sys /dev /disk /layer /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
date -s @${unixSeconds} >/dev/null
for module in ${MODULES.map((path) => basename(path)).join(' ')}; do
  insmod /modules/$module.ko || die "cannot load $module"
done
# The host's side names the ports in a message of its own, shortly after the driver starts.
for try in $(seq 100); do
  [ -n "$(port ${ORDERS})" ] && [ -b /dev/vda ] && break
  usleep 100000
done
exec 3>"$(port events)" 4<"$(port ${ORDERS})" || die 'no port for events or orders'
mount -t ext4 -o ro /dev/vda /disk || die 'cannot mount the disk'
mount -t tmpfs -o size=75% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/disk,upperdir=/layer/upper,workdir=/layer/work overlay /root || die 'no overlay'
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o ptmxmode=0666 devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
chmod 1777 /root/tmp
# On the disk it is the host's user's.
chown -R 0:0 /root/root
ip link set lo up
[ -c /root/dev/kvm ] || die 'no /dev/kvm'
cp /job /root/job
echo "ready $(cut -d' ' -f1 /proc/uptime)" >&3
chroot /root /bin/sh /job >"$(port out)" 2>"$(port err)"
echo done >&3
off
`
}

function stepLine({ title, directory: folder, command, seconds }, index) {
  const words = [index, seconds, folder, title ?? '', ...command]
  return `    ${index}) step ${words.map(quote).join(' ')} ;;`
}

/** The job: each step that is ordered, within its time, in its directory; how it ended goes to the port for events. */
function jobScript({ steps, environment, together }) {
  const exports = Object.entries(environment).map(
    ([name, value]) => `export ${name}=${quote(value)}`,
  )
  return `
now() { cut -d. -f1 /proc/uptime; }
step() {
  index=$1 seconds=$2 folder=$3 title=$4
  shift 4
  [ -z "$title" ] || printf '\\n%s\\n' "${TITLE_MARK}$title"
  started=$(now)
  (cd "$folder" && exec timeout -k 5 "$seconds" "$@") 3>&- 4<&- </dev/null
  echo "step $index $? $(($(now) - started))" >&3
  # What a step leaves running would take the time of the next one.
  kill -9 -1
}
${together ? 'exec 2>&1' : ''}
${exports.join('\n')}
while :; do
  # Nothing is read as long as the host does not listen.
  read -r order <&4 || { usleep 20000; continue; }
  case $order in
${steps.map(stepLine).join('\n')}
    *) break ;;
  esac
done
`
}

/** The title that a line of the output is, if it is one. */
export const titleOf = (line) =>
  line.startsWith(TITLE_MARK) ? line.slice(TITLE_MARK.length) : undefined

function moduleFiles(kernel) {
  const releases = join(kernel, 'lib/modules')
  const tree = join(releases, readdirSync(releases)[0], 'kernel')
  return MODULES.map((path) => {
    try {
      return file(`modules/${basename(path)}.ko`, readFileSync(join(tree, `${path}.ko`)))
    } catch (error) {
      throw new Failure(`the kernel package holds no ${path}.ko`, { cause: error })
    }
  })
}

/** The initramfs that runs `job`: `{ steps: [{ title?, directory, command, seconds }], environment, together }`. */
export function initramfs({ kernel, busybox }, job) {
  return archive([
    directory('bin'),
    file('bin/busybox', readFileSync(busybox)),
    directory('modules'),
    ...moduleFiles(kernel),
    file('init', initScript(Math.floor(Date.now() / 1000))),
    file('job', jobScript(job)),
  ])
}
