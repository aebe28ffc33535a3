// The same Linux once more, as a guest for the machine's own KVM: the stock kernel, and a busybox that greets.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { archive, directory, file } from './cpio.mjs'

/** Where `__test__/linux.spec.ts` looks for it. */
const FOLDER = 'opt/linux'

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
echo greetings from init on $(nproc) processors
exec /bin/busybox setsid /bin/busybox cttyhack /bin/sh
`

/** Puts kernel and initramfs on the machine's disk. */
export function addLinux(stage, { kernel, busybox }) {
  const boot = join(kernel, 'boot')
  const image = readdirSync(boot).find((name) => name.startsWith('vmlinuz'))
  const entries = [
    ...['bin', 'dev', 'proc'].map(directory),
    file('bin/busybox', readFileSync(busybox)),
    file('init', INIT),
  ]
  stage.add(join(boot, image), join(FOLDER, 'vmlinuz'))
  stage.write(join(FOLDER, 'initramfs.cpio'), archive(entries))
}
