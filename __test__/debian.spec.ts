// A whole Debian from its own disk: stock kernel, its own initramfs, systemd, a login prompt. What
// it writes is on the disk, and the disk is clean. `npm run test:svm` makes it of Debian packages.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { Listener } from './helpers/listener.ts'

const debian = fileURLToPath(new URL('../.cache/debian-root', import.meta.url))
const title =
  'Debian boots from its disk to a login prompt, writes, powers off, and its disk is clean'

const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }

/** Without /opt/linux this is no machine of test:svm, and stock kernels may not boot. */
if (existsSync('/opt/linux') && existsSync(debian)) {
  kvmTest(
    title,
    async (t) => {
      t.timeout(1_500_000)
      const folder = mkdtempSync(join(tmpdir(), 'vmexit-debian-'))
      t.teardown(() => rmSync(folder, { recursive: true }))
      const disk = join(folder, 'root.ext4')
      execFileSync('cp', ['--sparse=always', join(debian, 'root.ext4'), disk])
      using vm = new VirtualMachine({
        pc: true,
        memoryBytes: 384 << 20,
        disks: [{ file: disk }],
        payload: {
          image: readFileSync(join(debian, 'vmlinuz')),
          initrd: readFileSync(join(debian, 'initrd.img')),
          cmdline: 'console=ttyS0 root=/dev/vda rw quiet',
        },
      })
      const listener = new Listener(vm)
      const ended = vm.run({ timeoutMs: 1_400_000 })
      const say = async (waitFor: string, text: string) => {
        await Promise.race([listener.until(waitFor), ended])
        t.true(listener.heard.includes(waitFor), listener.heard)
        vm.serial.write(`${text}\n`)
      }
      await say('login: ', 'root')
      await say('Password: ', 'vmexit')
      await say(
        '# ',
        'head -c 3000000 /dev/urandom >/written; sync; echo sum=$(sha256sum </written)',
      )
      await say('sum=', "findmnt -no SOURCE,FSTYPE / | sed 's/^/root on /'")
      await say('root on ', 'poweroff')
      const { reason } = await ended
      t.is(reason, 'power-off', listener.heard)
      t.regex(listener.heard, /root on \/dev\/vda\s+ext4/)
      const [, sum] = listener.heard.match(/sum=([0-9a-f]{64})/) ?? []
      const check = execFileSync('e2fsck', ['-fn', disk], { env, encoding: 'utf8' })
      t.notRegex(check, /errors|recover/i)
      execFileSync('debugfs', ['-R', `dump /written ${join(folder, 'written')}`, disk], { env })
      const written = readFileSync(join(folder, 'written'))
      t.is<unknown, unknown>(createHash('sha256').update(written).digest('hex'), sum)
    },
    test.serial,
  )
} else {
  test.skip(`${title}: no Debian in .cache; npm run test:svm makes one`, (t) => t.pass())
}
