// `vmexit exec` as users call it: programs of the host, with what they are given, and exit codes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { main, vmexit, vmexitJson as json } from './helpers/cli.ts'
import { debianTree } from './helpers/debian.ts'
import { kvmTest } from './helpers/kvm.ts'
import { whereIs } from './helpers/native.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-exec-'))
test.after.always(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'data'))
writeFileSync(join(folder, 'data/in.txt'), 'hello\n')

/** A program that does one thing for each letter of its first argument. */
const source = String.raw`
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
  char line[4096];
  const char *what = argc > 1 ? argv[1] : "";
  switch (what[0]) {
  case 'a': for (int i = 2; i < argc; i++) puts(argv[i]); return 0;
  case 'c': while (fgets(line, sizeof line, stdin)) fputs(line, stdout); return 0;
  case 'd': puts(getcwd(line, sizeof line)); return 0;
  case 'e': for (char **each = environ; *each; each++) puts(*each); return 0;
  case 'f': *(volatile int *)16 = 1; return 0;
  case 'h': for (;;) ; return 0;
  case 'k': abort();
  case 'l': for (;;) write(1, line, sizeof line);
  case 'm': return malloc(64 << 20) ? memset(malloc(64 << 20), 1, 64 << 20) != 0 : 9;
  case 'n': return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EACCES ? 5 : 6;
  case 'o': for (int i = 2; i < argc; i++) {
      int file = open(argv[i], O_RDONLY);
      printf("%s %s\n", argv[i], file < 0 ? strerror(errno) : "open");
    }
    return 0;
  case 'p': pause(); return 0;
  case 'w': {
    int file = open(argv[2], O_WRONLY | O_CREAT, 0666);
    if (file < 0) return puts(strerror(errno)), 1;
    return write(file, "new", 3) != 3;
  }
  case 'x': return atoi(argv[2]);
  default: fputs("to stderr\n", stderr); return 0;
  }
}
`

/** Builds the program, or says why not. */
function build(tool: string, name: string, options: string[]): string | undefined {
  if (!whereIs(tool)) return undefined
  const path = join(folder, name)
  const args = ['-O1', '-w', ...options, '-x', 'c', '-', '-o', path]
  return spawnSync(tool, args, { input: source }).status === 0 ? path : undefined
}

const fixed = build('musl-gcc', 'fixed', ['-static']) ?? build('cc', 'fixed', ['-static'])
const dynamic = build('cc', 'dynamic', [])

/** A test of the static program. */
function execTest(title: string, run: (t: ExecutionContext, program: string) => Promise<void>) {
  kvmTest(title, async (t) => {
    if (fixed) await run(t, fixed)
    else {
      t.log('skipped: no C compiler for a static program')
      t.pass()
    }
  })
}

const exec = (...args: string[]) => vmexit(['exec', ...args])

execTest("the exit code is the program's, and its output goes through", async (t, program) => {
  t.like(await exec('--', program, 'x', '7'), { code: 7, stderr: '' })
  const said = await exec('--', program)
  t.deepEqual([said.code, said.stdout.toString(), said.stderr], [0, '', 'to stderr\n'])
})

execTest("what follows the program is the program's", async (t, program) => {
  const words = ['--json', '--', '-x', '--dir', '--help', '']
  for (const dashes of [['--'], []]) {
    const { code, stdout } = await exec('--timeout', '300s', ...dashes, program, 'a', ...words)
    t.deepEqual([code, stdout.toString()], [0, words.map((word) => `${word}\n`).join('')])
  }
})

execTest('stdin is streamed, to its end', async (t, program) => {
  const lines = Array.from({ length: 20_000 }, (_, line) => `line ${line}\n`).join('')
  const { code, stdout } = await vmexit(['exec', '--', program, 'c'], { input: lines })
  t.is(code, 0)
  t.true(stdout.equals(Buffer.from(lines)))
})

execTest('environment and working directory are empty and / unless given', async (t, program) => {
  t.is((await exec('--', program, 'e')).stdout.toString(), '')
  t.is((await exec('--', program, 'd')).stdout.toString(), '/\n')
  const data = join(folder, 'data')
  const given = ['--env', 'A=1', '--env', 'B=x=y', '--env', 'C=']
  t.is((await exec(...given, '--', program, 'e')).stdout.toString(), 'A=1\nB=x=y\nC=\n')
  const where = ['--dir', `${data}:/data:ro`, '--cwd', '/data']
  t.is((await exec(...where, '--', program, 'd')).stdout.toString(), '/data\n')
})

execTest('of files there is the program, and what --dir gives', async (t, program) => {
  const data = join(folder, 'data')
  const file = join(data, 'in.txt')
  const asked = [program, '/etc/passwd', file, '/data/in.txt', '/proc/1/root', '/dev/kvm']
  const found = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await exec(...args, '--', program, 'o', ...asked)
    return stdout.toString().match(/^\S+(?= open$)/gm) ?? []
  }
  t.deepEqual(await found(), [program])
  t.deepEqual(await found('--dir', `${data}:/data`), [program, '/data/in.txt'])
  t.deepEqual(await found('--dir', data), [program, file])
  t.deepEqual(await found('--dir', `${file}:/data/in.txt:ro`), [program, '/data/in.txt'])
})

execTest('a directory is written to unless it is :ro', async (t, program) => {
  const data = join(folder, 'written')
  mkdirSync(data)
  const refused = await exec('--dir', `${data}:/out:ro`, '--', program, 'w', '/out/a')
  t.deepEqual([refused.code, refused.stdout.toString()], [1, 'Read-only file system\n'])
  t.false(existsSync(join(data, 'a')))
  t.is((await exec('--dir', `${data}:/out`, '--', program, 'w', '/out/a')).code, 0)
  t.is(readFileSync(join(data, 'a'), 'utf8'), 'new')
})

execTest('the exit codes of other ends', async (t, program) => {
  const fault = await exec('--', program, 'f')
  t.is(fault.code, 139)
  t.regex(fault.stderr, /SIGSEGV/)
  t.is((await exec('--', program, 'k')).code, 134)
  const late = await exec('--timeout', '300ms', '--', program, 'h')
  t.is(late.code, 124)
  t.regex(late.stderr, /--timeout/)
  t.is((await exec('--memory', '32M', '--', program, 'm')).code, 9)
  const network = await exec('--', program, 'n')
  t.is(network.code, 5)
  t.regex(network.stderr, /nothing answers what it asked for: socket\n$/)
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  execTest(`${signal} ends it: exit code ${code}`, async (t, program) => {
    for (const what of ['p', 'h', 'c', 'l']) {
      const child = spawn(process.execPath, [main, 'exec', '--syscalls', '--', program, what])
      await begun(child)
      child.kill(signal)
      const [ended] = await once(child, 'exit')
      t.is(ended, code, what)
    }
  })
}

/** Its first system calls are shown. */
async function begun(child: ChildProcess): Promise<void> {
  await once(child.stderr!, 'data')
  child.stderr!.resume()
  await delay(200)
}

execTest('a reader that leaves ends no more than the writing', async (t, program) => {
  const child = spawn(process.execPath, [main, 'exec', '--timeout', '300s', '--', program, 'l'])
  await once(child.stdout, 'data')
  child.stdout.destroy()
  const [code] = await once(child, 'exit')
  t.is(code, 128 + 13)
})

execTest('a slow reader makes the program wait, and no time-out is missed', async (t, program) => {
  const child = spawn(process.execPath, [main, 'exec', '--timeout', '500ms', '--', program, 'l'])
  const [code] = await once(child, 'exit')
  t.is(code, 124)
})

execTest('--syscalls: what it does, on stderr, to its end', async (t, program) => {
  const { stderr } = await exec('--syscalls', '--', program, 'x', '3')
  const lines = stderr.trimEnd().split('\n')
  t.regex(lines[0]!, /^\w+\(.*\) += /)
  t.regex(lines.at(-2)!, /^exit_group\(3\) +=\s\?$/)
  t.is(lines.at(-1), '+++ exited with 3 +++')
  const opened = await exec('--syscalls', '--', program, 'o', '/none')
  t.regex(
    opened.stderr,
    /^open\("\/none", O_RDONLY.*\) += -1 ENOENT \(No such file or directory\)$/m,
  )
  const read = await exec('--syscalls', '--timeout', '300s', '--', program, 'c')
  t.is(read.code, 0)
})

execTest('--syscalls: a call that does not return is unfinished', async (t, program) => {
  const unfinished = /^readv?\(0, <unfinished \.\.\.>$/m
  let stderr = ''
  // On a busy host the program may not come to its read in that time.
  for (let ms = 500; !unfinished.test(stderr) && ms < 100_000; ms *= 4) {
    const args = ['exec', '--syscalls', '--timeout', `${ms}ms`, '--', program, 'c']
    const child = spawn(process.execPath, [main, ...args])
    stderr = ''
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk))
    await once(child, 'close')
  }
  t.regex(stderr, unfinished)
  t.regex(stderr, /^\+\+\+ killed by SIGKILL \+\+\+$/m)
})

execTest('--json: one document', async (t, program) => {
  const [code, document] = await json(['exec', '--json', '--', program, 'x', '3'])
  t.is(code, 3)
  t.like(document, { exitCode: 3, signal: null, reason: 'exit', stdout: '', stderr: '' })
  t.is(document.syscalls.exit_group, 1)
  t.is(typeof document.durationMs, 'number')
  const [, fault] = await json(['exec', '--json', '--', program, 'f'])
  t.like(fault, { exitCode: null, signal: 'SIGSEGV', reason: 'fault' })
  t.is(fault.fault.name, '#PF')
  const [, network] = await json(['exec', '--json', '--', program, 'n'])
  t.deepEqual(network.refused, { socket: 1 })
  const [gone, none] = await json(['exec', '--json', '--', join(folder, 'none')])
  t.is(gone, 127)
  t.regex(none.error.message, /no such file/)
})

const unusable: [title: string, args: string[], code: number, said: RegExp][] = [
  ['nothing', [], 2, /exec needs a program/],
  ['an unknown option', ['--dri', '/', '--', 'x'], 2, /did you mean --dir\?/],
  ['a name that is not in PATH', ['--', 'no-such-program'], 127, /no such program in PATH/],
  ['a path with nothing', ['--', './no-such-program'], 127, /no such file/],
  ['a directory', ['--', folder], 126, /is a directory/],
  ['a file that is not executable', ['--', './package.json'], 126, /is not executable/],
  [
    'a directory that is not there',
    ['--dir', '/no/such', '--', 'x'],
    2,
    /--dir \/no\/such: ENOENT/,
  ],
  ['a relative place', ['--dir', 'docs:docs', '--', 'x'], 2, /--dir must be HOST/],
  ['two for one place', ['--dir', 'docs:/a', '--dir', 'src:/a', '--', 'x'], 2, /gives \/a twice/],
  ['a variable without value', ['--env', 'A', '--', 'x'], 2, /--env must be NAME=VALUE/],
]

for (const [title, args, code, said] of unusable)
  test(`exit code ${code}: ${title}`, async (t) => {
    const ran = await exec(...args)
    t.is(ran.code, code)
    t.regex(ran.stderr, said)
  })

execTest('exit code 2: a working directory that is not there', async (t, program) => {
  const ran = await exec('--cwd', '/none', '--', program)
  t.is(ran.code, 2)
  t.regex(ran.stderr, /\/none/)
})

function executable(name: string, contents: string): string {
  const path = join(folder, name)
  writeFileSync(path, contents)
  chmodSync(path, 0o755)
  return path
}

test('exit code 126: what is no program', async (t) => {
  const ran = await exec('--', executable('garbage', 'no program'))
  t.is(ran.code, 126)
  t.regex(ran.stderr, /is no program for x86-64 Linux/)
})

execTest('a script is run by what its first line names', async (t, program) => {
  const script = executable('script', `#!${program} a one word\n`)
  const { stdout, code } = await exec('--', script, 'more')
  t.deepEqual([code, stdout.toString()], [0, `${script}\nmore\n`])
  const simple = executable('simple', `#!${program} a\n`)
  t.is((await exec('--', simple, 'more')).stdout.toString(), `${simple}\nmore\n`)
  const again = executable('again', `#!${simple}\n`)
  t.is((await exec('--', again, 'x')).stdout.toString(), `${simple}\n${again}\nx\n`)
  const circle = executable('circle', `#!${join(folder, 'circle')}\n`)
  t.like(await exec('--', circle), { code: 126 })
  const lost = executable('lost', '#!/no/such\n')
  t.like(await exec('--', lost), { code: 127 })
})

execTest("a directory's own program counts, by its own links", async (t, program) => {
  const root = join(folder, 'root')
  mkdirSync(join(root, 'opt'), { recursive: true })
  writeFileSync(join(root, 'opt/real'), readFileSync(program))
  chmodSync(join(root, 'opt/real'), 0o755)
  symlinkSync('/opt/real', join(root, 'tool'))
  const { code, stdout } = await exec('--dir', `${root}:/:ro`, '--', '/tool', 'a', 'here')
  t.deepEqual([code, stdout.toString()], [0, 'here\n'])
})

kvmTest('a dynamic program is told which library to give, and runs with it', async (t) => {
  if (!dynamic) {
    t.log('skipped: no C compiler')
    t.pass()
    return
  }
  const without = await exec('--', dynamic, 'x', '4')
  t.is(without.code, 127)
  const [, option] = /add (--dir \S+):ro\n$/.exec(without.stderr) ?? []
  t.truthy(option, without.stderr)
  const given = option!.split(' ')
  t.like(await exec(...given, '--', dynamic, 'x', '4'), { code: 4, stderr: '' })
})

kvmTest('busybox does what it does on the host', async (t) => {
  const tree = await debianTree('busybox-static')
  if (tree.startsWith('skipped')) {
    t.log(tree)
    t.pass()
    return
  }
  const busybox = join(tree, 'bin/busybox')
  const file = join(folder, 'data/in.txt')
  const applets = [
    ['sha256sum', file],
    ['wc', file],
    ['ls', '-1', join(folder, 'data')],
    ['sed', 's/l/L/g', file],
    ['awk', '{ print length($0) }', file],
    ['cat', '/no/such'],
    ['sh', '-c', 'for i in 1 2 3; do echo $i; done; exit 9'],
    ['grep', 'nothing', file],
  ]
  for (const words of applets) {
    const host = spawnSync(busybox, words, { env: {} })
    const ran = await exec('--dir', `${join(folder, 'data')}:ro`, '--', busybox, ...words)
    t.deepEqual([ran.code, ran.stdout.toString()], [host.status, host.stdout.toString()], words[0])
  }
})
