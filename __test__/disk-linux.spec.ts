// Debian's stock kernel on a disk: an ext4 file system that mkfs.ext4 has made, a lot of bytes both
// ways, and what a sector that cannot be read is to it.
import { execFileSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import type { Disk, DiskDevice } from '../src/index.ts'
import { Linux, noLinux } from './fixtures/linux.ts'
import { kvmTest } from './helpers/kvm.ts'

const modules = ['virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk']
const fileSystem = ['crc32c_generic', 'libcrc32c', 'crc16', 'mbcache', 'jbd2', 'ext4']

/** With VMEXIT_SOAK=1 the 100 MB that a user would copy. */
const megabytes = process.env['VMEXIT_SOAK'] === '1' ? 100 : 8

const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }

function linuxTest(title: string, body: (t: ExecutionContext, folder: string) => Promise<void>) {
  if (noLinux !== undefined) return test.skip(`${title}: ${noLinux}`, (t) => t.pass())
  return kvmTest(
    title,
    async (t) => {
      t.timeout(1_300_000)
      const folder = mkdtempSync(join(tmpdir(), 'vmexit-disk-linux-'))
      t.teardown(() => rmSync(folder, { recursive: true }))
      await body(t, folder)
    },
    test.serial,
  )
}

const sumOf = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex')

/** A file as a device in TypeScript. */
function deviceOf(handle: FileHandle, bytes: number, fails: () => boolean): DiskDevice {
  const refuse = () => Promise.reject(new Error('a bad sector'))
  return {
    bytes,
    read: (offset, into) => (fails() ? refuse() : handle.read(into, 0, into.length, offset)),
    write: (offset, data) => (fails() ? refuse() : handle.write(data, 0, data.length, offset)),
    flush: () => handle.datasync(),
  }
}

linuxTest(
  'an ext4 file system is mounted, written, and clean after power-off',
  async (t, folder) => {
    const image = join(folder, 'disk.ext4')
    mkdirSync(join(folder, 'root'))
    const content = randomFillSync(Buffer.alloc(1 << 20))
    writeFileSync(join(folder, 'root', 'given'), content)
    const mkfs = ['-q', '-F', '-d', join(folder, 'root'), image, '24M']
    execFileSync('mkfs.ext4', mkfs, { env })
    using linux = await Linux.boot([...modules, ...fileSystem], { disks: [{ file: image }] })
    const said = await linux.do('mount -t ext4 /dev/vda /mnt && md5sum /mnt/given')
    t.true(said.includes(sumOf(content)), said)
    const written = await linux.do(
      'head -c 3000000 /dev/urandom >/mnt/written; sync; md5sum /mnt/written; umount /mnt',
    )
    t.is(((await linux.powerOff()) as { reason: string }).reason, 'power-off')
    const check = execFileSync('e2fsck', ['-fn', image], { env, encoding: 'utf8' })
    t.notRegex(check, /errors|recover/i)
    const out = join(folder, 'written')
    execFileSync('debugfs', ['-R', `dump /written ${out}`, image], { env, stdio: 'ignore' })
    t.true(written.includes(sumOf(readFileSync(out))), written)
  },
)

linuxTest(
  `${megabytes} MB, byte for byte: a file, a device, a device that fails`,
  async (t, folder) => {
    const bytes = megabytes << 20
    const paths = ['file', 'device', 'failing'].map((name) => join(folder, name))
    const content = randomFillSync(Buffer.alloc(bytes))
    for (const path of paths) writeFileSync(path, content)
    const [file, device, failing] = paths as [string, string, string]
    await using whole = await open(device, 'r+')
    await using broken = await open(failing, 'r+')
    let requests = 0
    let errors = 0
    const fails = () => {
      const isBad = ++requests % 1000 === 0
      if (isBad) errors++
      return isBad
    }
    const disks: Disk[] = [
      { file },
      { device: deviceOf(whole, bytes, () => false) },
      { device: deviceOf(broken, bytes, fails) },
    ]
    using linux = await Linux.boot(modules, { disks })
    for (const disk of ['vda', 'vdb']) {
      const read = await linux.do(`md5sum /dev/${disk}`)
      t.true(read.includes(sumOf(content)), read)
      const written = await linux.do(
        `head -c ${bytes} /dev/urandom >/dev/${disk} && sync && echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/${disk}`,
      )
      t.true(written.includes(sumOf(readFileSync(disk === 'vda' ? file : device))), written)
    }
    // Small requests, so that there are thousands.
    const before = errors
    const read = await linux.do('dd if=/dev/vdc of=/dev/null bs=4096 iflag=direct conv=noerror')
    t.true(errors - before >= 2, `${errors} of ${requests}: ${read}`)
    t.is(read.match(/I\/O error, dev vdc/g)?.length, errors - before, read)
    const alive = await linux.do(`dd if=/dev/vda bs=4096 count=1 2>/dev/null | md5sum; echo alive`)
    t.true(alive.includes('alive'))
    await linux.powerOff()
    t.true(readFileSync(failing).equals(content))
  },
)
