// What a process reaches by path: every form that might lead out of a directory of the host, /proc
// and /dev in all spellings, and links and names that change on the host meanwhile.
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { Process, execute, hostDirectory, hostFile, memoryDirectory } from '../src/process/index.ts'
import { treeOf } from './helpers/exec/given.ts'
import { programTest } from './helpers/exec/host.ts'
import { forms, secret, withSecret } from './helpers/exec/secret.ts'
import { vmError } from './helpers/machine.ts'
import { affordable, patient } from './helpers/speed.ts'

const busybox = ['/bin/busybox', 'busybox-static'] as const
const isSoak = process.env['VMEXIT_SOAK'] === '1'
const timeoutMs = patient(120_000)

/** Of each line of `/paths`, a path, what is there; and tries to change it. */
const reads = `while IFS= read -r p; do
  if IFS= read -r x <"$p"; then echo "$p: $x"; fi
done 2>/dev/null </paths
`
const writes = `while IFS= read -r p; do
  echo changed >>"$p"; true >"$p"
done 2>/dev/null </paths
`
/** Applets that change what a path leads to. */
const changes = [
  'rm -f',
  'rm -rf',
  'chmod 777',
  'touch',
  'truncate -s 0',
  'mkdir -p',
  'rmdir',
  'ln -s /file',
  'ln -f /file',
  'cp -f /file',
  'mv -f /dir/file',
]

programTest('no form of a path leads out of a directory', busybox, async (t, program) => {
  using folder = withSecret()
  const files = {
    '/': hostDirectory(folder.root, { readOnly: true }),
    '/busybox': hostFile(program, { readOnly: true }),
    '/paths': `${forms(folder.root, folder.path).join('\n')}\n`,
  }
  for (const cwd of ['/', '/dir/deep']) {
    const { stdout, exitCode } = await execute('/busybox', ['sh', '-c', reads], {
      files,
      cwd,
      timeoutMs,
    })
    t.false(
      stdout.includes(secret),
      stdout.split('\n').find((line) => line.includes(secret)),
    )
    // What is inside is found by forms that stay there.
    t.regex(stdout, /^\/file: mine$/m)
    t.regex(stdout, /^\/(dir\/\.\.\/){580}file: mine$/m)
    t.is(exitCode, 0)
  }
})

programTest(
  'no form of a path changes what is outside, or read-only',
  busybox,
  async (t, program) => {
    using folder = withSecret()
    const bb = { '/busybox': hostFile(program, { readOnly: true }) }
    const all = forms(folder.root, folder.path)
    const before = treeOf(folder.path)
    const readOnly = { '/': hostDirectory(folder.root, { readOnly: true }), ...bb }
    const list = { '/paths': `${all.join('\n')}\n` }
    const script = ['sh', '-c', writes]
    await execute('/busybox', script, { files: { ...readOnly, ...list }, timeoutMs })
    for (const [index, path] of all.entries()) {
      // All of them with one of the applets, and some with each.
      const some = isSoak ? changes : [changes[index % changes.length]!]
      if (!isSoak && index % 12 !== 0) continue
      for (const change of some)
        await execute('/busybox', [...change.split(' '), path], { files: readOnly, timeoutMs })
    }
    t.deepEqual(treeOf(folder.path), before)
    const outside = (): [string, string][] =>
      Object.entries(treeOf(folder.path)).filter(
        ([path]) => path !== 'root' && !path.startsWith('root/'),
      )
    const was = outside()
    const writable = { '/': hostDirectory(folder.root), ...bb }
    await execute('/busybox', script, { files: { ...writable, ...list }, timeoutMs })
    for (const [index, path] of all.entries())
      if (index % (isSoak ? 1 : 12) === (isSoak ? 0 : 1))
        await execute('/busybox', [...changes[index % changes.length]!.split(' '), path], {
          files: writable,
          timeoutMs,
        })
    t.deepEqual(outside(), was)
  },
)

programTest(
  'a directory mounted below another is left by its parent there',
  busybox,
  async (t, program) => {
    using folder = withSecret()
    const files = {
      '/busybox': hostFile(program, { readOnly: true }),
      '/a/data': hostDirectory(folder.root),
      '/a/secret': 'the own one',
      '/m': memoryDirectory({ 'x/y': 'memory' }),
    }
    const paths = [
      '/a/data/../secret',
      '/a/data/relative',
      '/a/data/dir/../../secret',
      '/m/x/../../a/secret',
      'data/up/secret',
    ]
    const stdin = `${paths.join('\n')}\n`
    const script = `cd /a; while read -r p; do read -r x <"$p"; echo "$p: $x"; done`
    const { stdout } = await execute('/busybox', ['sh', '-c', script], { files, stdin, timeoutMs })
    t.is(stdout, paths.map((path) => `${path}: the own one\n`).join(''))
  },
)

programTest('what is no file, directory or link cannot be opened', busybox, async (t, program) => {
  using folder = withSecret()
  execFileSync('mkfifo', [join(folder.root, 'fifo')])
  const server = createServer().listen(join(folder.root, 'socket'))
  await new Promise((done) => server.once('listening', done))
  const isRoot = process.getuid!() === 0
  const hasDevice =
    isRoot &&
    tries(() =>
      execFileSync('mknod', [join(folder.root, 'device'), 'c', '1', '3'], { stdio: 'ignore' }),
    )
  const files = {
    '/': hostDirectory(folder.root),
    '/busybox': hostFile(program, { readOnly: true }),
  }
  for (const name of ['fifo', 'socket', ...(hasDevice ? ['device'] : [])])
    for (const args of [
      ['cat', name],
      ['dd', `of=${name}`],
      ['cp', name, 'copy'],
      ['chmod', '777', name],
      ['truncate', '-s', '0', name],
    ]) {
      const { stderr, exitCode, reason } = await execute('/busybox', args, { files, timeoutMs })
      t.is(reason, 'exit')
      t.not(exitCode, 0, args.join(' '))
      t.regex(stderr, /Permission denied/, args.join(' '))
    }
  server.close()
  for (const special of ['/dev/null', '/dev/kvm', join(folder.root, 'fifo')])
    t.throws(
      () => new Process('/busybox', { files: { ...files, '/x': hostFile(special) } }),
      { message: new RegExp(special) },
      special,
    )
})

function tries(work: () => unknown): boolean {
  try {
    work()
    return true
  } catch {
    return false
  }
}

/** Spellings of `/proc`. */
const procs = `
  /proc //proc /proc/. /./proc /proc/../proc /dev/../proc /bin/../proc
  /proc/self/root/proc /proc/self/cwd/proc /proc/1/root/proc /tmp/../proc
  /usr/../proc/self/..
`

/** What the host's has there. */
const held = `
  kcore kallsyms keys iomem sysrq-trigger net/tcp sys/kernel/core_pattern
  sys/kernel/hostname bus/pci/devices partitions self/mem self/pagemap self/ns/mnt
  1/environ self/attr/current self/map_files asound/cards interrupts
`

/** What the host's `/dev` has, or might have. */
const devices = `
  kvm mem port sda vda loop0 pts/0 ptmx shm/x mqueue/x net/tun fuse hpet rtc0 console
  tty0 kmsg core disk/by-id random/../kvm fd/../kvm fd/9 stdin/../kvm
`

/** Other file systems that the host makes up. */
const others = `
  /sys/kernel/mm /sys/class/net /sys/fs/cgroup/cgroup.procs /sys/kernel/uevent_seqnum
  /run/../sys/kernel/uevent_seqnum
`

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

programTest('/proc, /dev and /sys are never those of the host', busybox, async (t, program) => {
  const name = `vmexit-${process.pid}`
  const files = {
    '/': hostDirectory('/', { readOnly: true }),
    '/busybox': hostFile(program, { readOnly: true }),
  }
  const paths = [
    ...words(procs).flatMap((proc) =>
      [...words(held), `${process.pid}/environ`].map((file) => `${proc}/${file}`),
    ),
    ...['/dev', '//dev', '/proc/../dev', '/proc/self/root/dev', '/dev/.', '/bin/../dev'].flatMap(
      (dev) => words(devices).map((file) => `${dev}/${file}`),
    ),
    ...words(others),
  ]
  const script = `while IFS= read -r p; do
  if [ -e "$p" ]; then echo "there: $p"; fi
  if true <"$p"; then echo "read: $p"; fi
  if true >>"$p"; then echo "written: $p"; fi
done 2>/dev/null </paths; exit 0`
  const { stdout, exitCode } = await execute('/busybox', ['sh', '-c', script], {
    files: { ...files, '/paths': `${paths.join('\n')}\n` },
    timeoutMs,
    env: { name },
  })
  t.is(exitCode, 0)
  const engines = /^(there|read): .*(sys\/kernel\/hostname|\/proc\/\.?\/?interrupts)$/
  const told = stdout.split('\n').filter((line) => line !== '' && !engines.test(line))
  t.deepEqual(told, [])
  const shown = await execute(
    '/busybox',
    ['sh', '-c', 'echo /proc/[0-9]* /dev/*; read -r x </proc/sys/kernel/hostname; echo "$x"'],
    { files, timeoutMs, env: { name } },
  )
  t.false(shown.stdout.includes(readFileSync('/proc/sys/kernel/hostname', 'utf8').trim() + '\n'))
  const mine = shown.stdout
  t.regex(mine, /^vmexit$/m)
  t.is(mine.match(/\/proc\/\d+/g)?.length, 1, mine)
})

programTest(
  'links and names that change on the host meanwhile lead nowhere',
  busybox,
  async (t, program) => {
    using folder = withSecret()
    const { root, outside } = folder
    mkdirSync(join(root, 'race/a'), { recursive: true })
    for (const name of ['race/a/secret', 'race/secret']) writeFileSync(join(root, name), 'mine\n')
    linkSync(join(root, 'race/secret'), join(root, 'race/hard'))
    symlinkSync(outside, join(root, 'race/link'))
    const before = Object.entries(treeOf(outside))
    const most = isSoak ? 200_000 : affordable(10_000)
    const rounds = Math.ceil(most / 800)
    // Eight files are opened in each round.
    const script = `while :; do
      echo round
      for p in race/a/secret race/secret race/a/../secret race/a/../../file; do
        read -r x <"$p" && [ "$x" != mine ] && echo "$p: $x"
        echo mine >race/a/secret
      done
    done 2>/dev/null`
    const files = { '/': hostDirectory(root), '/busybox': hostFile(program, { readOnly: true }) }
    await using p = new Process('/busybox', { args: ['sh', '-c', script], files, timeoutMs })
    const state = { isOver: false }
    let swaps = 0
    const ended = p.exited.finally(() => (state.isOver = true))
    const [a, link, third] = ['a', 'link', 'third'].map((name) => join(root, 'race', name)) as [
      string,
      string,
      string,
    ]
    const swap = (left: string, right: string): void => {
      renameSync(left, third)
      renameSync(right, left)
      renameSync(third, right)
    }
    let text = ''
    p.stdout.on('data', (chunk) => (text += String(chunk)))
    const goesOn = (): boolean => swaps < most || text.split('round').length <= rounds
    while (!state.isOver && goesOn()) {
      // A directory and a link to what is outside take each other's place.
      for (let turns = 0; turns < 100; turns++, swaps++) tries(() => swap(a, link))
      await new Promise((done) => setImmediate(done))
    }
    p.kill()
    const { reason, syscalls } = await ended
    t.is(reason, 'killed')
    t.log(`${swaps} swaps, ${syscalls['openat']} files opened`)
    t.true(syscalls['openat']! > most / 100)
    t.false(text.includes(secret), text)
    t.deepEqual(Object.entries(treeOf(outside)), before)
  },
)

programTest('files that a process cannot be given', busybox, async (t, program) => {
  using folder = withSecret()
  const bb = { '/busybox': hostFile(program, { readOnly: true }) }
  for (const [path, source] of [
    ['relative', 'x'],
    ['/x\0y', 'x'],
    ['/x', 7 as unknown as string],
  ] as const)
    t.throws(
      () => new Process('/busybox', { files: { ...bb, [path]: source } }),
      vmError('ERR_INVALID_OPTION'),
      path,
    )
  const gone = hostDirectory(join(folder.path, 'nothing'))
  t.throws(() => new Process('/busybox', { files: { ...bb, '/x': gone } }), { message: /nothing/ })
  t.throws(() => new Process('/nothing', { files: bb }), vmError('ERR_PAYLOAD', /\/nothing/))
  t.throws(() => new Process('/busybox', { files: bb, cwd: '/nothing' }), { message: /\/nothing/ })
})
