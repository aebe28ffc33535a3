// Debian's busybox in a process, each applet against the same command on the host: what it writes,
// its exit code, and the files that it leaves.
import { lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { Process, hostDirectory, hostFile, memoryDirectory } from '../src/process/index.ts'
import {
  type Given,
  layOut,
  layOutFiles,
  pathsBelow,
  temporary,
  treeOf,
  withArchives,
  withoutOwnersOfCpio,
  withoutOwnersOfTar,
} from './helpers/exec/given.ts'
import { type Outcome, inProcess, onHost, programTest } from './helpers/exec/host.ts'

const isSoak = process.env['VMEXIT_SOAK'] === '1'
const busybox = ['/bin/busybox', 'busybox-static'] as const

/** Words as a shell has them: by spaces, those in `'` together; `<file` is standard input. */
function parse(line: string, given: Given): { args: string[]; stdin: string | Uint8Array } {
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare!)
  const input = words.at(-1)?.startsWith('<') ? words.pop()!.slice(1) : 'empty'
  return { args: words, stdin: given[input]! }
}

/** The lines of a list, by the titles that stand over them. */
function subjects(file: string): Record<string, string[]> {
  const parts = readFileSync(file, 'utf8').split(/^## /m).slice(1)
  return Object.fromEntries(
    parts.map((part) => {
      const [title, ...lines] = part.split('\n')
      return [title!, lines.filter((line) => line !== '')]
    }),
  )
}

const env = { PATH: '/bin', TZ: 'UTC0', HOME: '/' }

/** What an archive on standard output holds, without its owners; else what is there. */
function comparable([applet]: readonly string[], { stdout, ...rest }: Outcome): Outcome {
  const without = { tar: withoutOwnersOfTar, cpio: withoutOwnersOfCpio }[applet ?? '']
  if (!without) return { stdout, ...rest }
  return { ...rest, stdout: without(Buffer.from(stdout, 'latin1')).toString('latin1') }
}

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 300) ?? 'nothing'

/** Where two records differ, each in a line. */
function compare<T extends object>(title: string, is: T, shall: T): string[] {
  const keys = Object.keys({ ...is, ...shall }) as (keyof T & string)[]
  return keys
    .filter((key) => is[key] !== shall[key])
    .map((key) => `${title}: ${key} ${shown(is[key])} instead of ${shown(shall[key])}`)
}

/** Runs a command here and there; whatever differs. */
async function differences(program: string, given: Given, line: string): Promise<string[]> {
  using folder = temporary()
  const [here, there] = ['host', 'guest'].map((name) => join(folder.path, name)) as [string, string]
  layOut(here, given)
  layOut(there, given)
  const { args, stdin } = parse(line, given)
  const setting = { cwd: here, env, stdin }
  const expected = await onHost(program, args, setting)
  // At the same path, as some tell where they are.
  const files = { [program]: hostFile(program, { readOnly: true }), [here]: hostDirectory(there) }
  const { refused: _, ...found } = await inProcess(program, args, { ...setting, files })
  return [
    ...compare(line, comparable(args, found), comparable(args, expected)),
    ...compare(line, treeOf(there), treeOf(here)),
  ]
}

/** What a process has left in a directory, by the paths below it. */
function leftIn(p: Process, at: string): Record<string, string> {
  const entries = p.files.list(at).map(({ name, kind }): [string, string][] => {
    const path = `${at}/${name}`
    if (kind === 'file') return [[path, p.files.read(path).toString('latin1')]]
    const below = kind === 'directory' ? Object.entries(leftIn(p, path)) : []
    return [[path, kind], ...below]
  })
  return Object.fromEntries(entries.flat())
}

/** The same of a directory of the host. */
function leftOnHost(path: string, at: string): Record<string, string> {
  return Object.fromEntries(
    pathsBelow(path).map((name) => {
      const file = join(path, name)
      const stat = lstatSync(file)
      const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : 'file'
      return [`${at}/${name}`, kind === 'file' ? readFileSync(file, 'latin1') : kind]
    }),
  )
}

/** Runs a command in a directory in memory, and on the host; whatever differs. */
async function memoryDifferences(program: string, given: Given, line: string): Promise<string[]> {
  using folder = temporary()
  const { path } = folder
  layOutFiles(path, given)
  const { args, stdin } = parse(line, given)
  const expected = await onHost(program, args, { cwd: path, env, stdin })
  const files = { [program]: hostFile(program, { readOnly: true }), [path]: memoryDirectory(given) }
  await using p = new Process(program, { args, cwd: path, env, stdin, files })
  const [stdout, stderr] = await Promise.all(
    [p.stdout, p.stderr].map(async (stream) => {
      const chunks: Buffer[] = []
      for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
      return Buffer.concat(chunks).toString('latin1')
    }),
  )
  const { exitCode, signal } = await p.exited
  const found: Outcome = { exitCode, signal, stdout: stdout!, stderr: stderr! }
  return [
    ...compare(line, comparable(args, found), comparable(args, expected)),
    ...compare(line, leftIn(p, path), leftOnHost(path, path)),
  ]
}

/** Some at once, as the host's part is another process. */
async function each(
  lines: readonly string[],
  work: (line: string) => Promise<void>,
): Promise<void> {
  const left = [...lines]
  const one = async (): Promise<void> => {
    for (let line = left.shift(); line !== undefined; line = left.shift()) await work(line)
  }
  await Promise.all([one(), one()])
}

for (const [subject, lines] of Object.entries(subjects('__test__/fixtures/exec/applets.txt')))
  programTest(`busybox does what it does on the host: ${subject}`, busybox, async (t, program) => {
    const told: string[] = []
    const given = withArchives(program)
    await each(lines, async (line) => void told.push(...(await differences(program, given, line))))
    t.deepEqual(told, [])
  })

/** What tells of links, of an order, times or sizes that a directory in memory has otherwise. */
const ofLinks =
  /link|broken|up\b|^find \.|newer|-mtime|diff -r|^tar c|^cpio -o|^date -u -r|^\[\[|^ls -S/

programTest('busybox does the same with files in memory', busybox, async (t, program) => {
  const told: string[] = []
  const given = withArchives(program)
  const lines = Object.values(subjects('__test__/fixtures/exec/applets.txt')).flat()
  const plain = lines.filter((line) => !ofLinks.test(line))
  // One of four, where not all are wanted.
  const some = isSoak ? plain : plain.filter((_, index) => index % 4 === 0)
  await each(
    some,
    async (line) => void told.push(...(await memoryDifferences(program, given, line))),
  )
  t.deepEqual(told, [])
})

/** What needs another process, a network, or what no process has. */
const missing: Readonly<Record<string, string>> = {
  "sh -c 'ls | wc'": 'clone',
  "sh -c 'echo $(ls)'": 'clone',
  "sh -c 'sleep 1 & wait'": 'clone',
  "sh -c 'exec cat text.txt'": 'execve',
  'zcat packed.gz': 'clone',
  'timeout 1 true': 'vfork',
  'time true': 'vfork',
  'env true': 'execve',
  'setsid true': 'clone',
  'wget http://127.0.0.1/': 'socket',
  'ping 127.0.0.1': 'socket',
  'nc 127.0.0.1 1': 'socket',
  'nslookup localhost': 'socket',
  'ip link': 'socket',
  'hostname other': 'sethostname',
  'umount /dev': 'umount2',
  'chroot /': 'chroot',
  'unshare true': 'unshare',
  'reboot -f': 'reboot',
  'date -s 2020-01-01': 'clock_settime',
  dmesg: 'syslog',
}

programTest('what busybox needs and cannot have is named', busybox, async (t, program) => {
  const files = {
    [program]: hostFile(program, { readOnly: true }),
    '/work': memoryDirectory(withArchives(program)),
  }
  await each(Object.keys(missing), async (line) => {
    const { args } = parse(line, {})
    const options = { files, cwd: '/work', env }
    const { refused, exitCode, stderr } = await inProcess(program, args, options)
    const call = missing[line]!
    t.true((refused[call] ?? 0) > 0, `${line}: ${JSON.stringify(refused)}`)
    t.regex(stderr, /./, line)
    if (/clone|fork/.test(call)) t.true(stderr.includes(`vmexit: ${call}: `), stderr)
    // `date` tells of it, and goes on.
    if (!line.startsWith('date')) t.not(exitCode, 0, line)
  })
})
