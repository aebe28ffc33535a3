// The same Linux once more, as a guest for the machine's own KVM: the stock kernel, as it is packed and unpacked, and a busybox that greets.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { archive, directory, file } from './cpio.mjs'
import { run } from './scope.mjs'

/** Where `__test__/linux.spec.ts` looks for it. */
const FOLDER = 'opt/linux'

const UNPACK_SECONDS = 60

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
echo greetings from init on $(nproc) processors
exec /bin/busybox setsid /bin/busybox cttyhack /bin/sh
`

const SECTOR_BYTES = 512
// The frame format of old, which the kernel's build uses.
const LZ4_MAGIC = 0x184c2102

/** The ELF file within a bzImage, still packed (kernel Documentation/arch/x86/boot.rst); undefined if it is not packed by lz4. */
function packedElf(image) {
  const setupBytes = (1 + (image.readUInt8(0x1f1) || 4)) * SECTOR_BYTES
  const [begin, length] = [image.readUInt32LE(0x248), image.readUInt32LE(0x24c)]
  const payload = image.subarray(setupBytes + begin, setupBytes + begin + length)
  // The last word is the unpacked size, which is none of the format's.
  return payload.readUInt32LE(0) === LZ4_MAGIC ? payload.subarray(0, -4) : undefined
}

/** Puts kernel and initramfs on the machine's disk. */
export async function addLinux(stage, workFolder, { kernel, busybox, lz4 }) {
  const boot = join(kernel, 'boot')
  const image = join(
    boot,
    readdirSync(boot).find((name) => name.startsWith('vmlinuz')),
  )
  const entries = [
    ...['bin', 'dev', 'proc'].map(directory),
    file('bin/busybox', readFileSync(busybox)),
    file('init', INIT),
  ]
  stage.add(image, join(FOLDER, 'vmlinuz'))
  stage.write(join(FOLDER, 'initramfs.cpio'), archive(entries))
  const packed = packedElf(readFileSync(image))
  if (!packed) return
  const [from, to] = ['vmlinux.lz4', 'vmlinux'].map((name) => join(workFolder, name))
  writeFileSync(from, packed)
  await run('unpacking the kernel', [lz4, '-qdf', from, to], { seconds: UNPACK_SECONDS })
  stage.add(to, join(FOLDER, 'vmlinux'))
}
