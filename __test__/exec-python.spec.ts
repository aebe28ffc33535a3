// Debian's Python in a process: programs, and CPython's own tests of json, re, sqlite3 and hashlib,
// which end there as they do on the host.
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'

import type { ExecutionContext } from 'ava'

import { type Files, hostDirectory, hostFile, memoryDirectory } from '../src/process/index.ts'
import { debianTree } from './helpers/debian.ts'
import { temporary } from './helpers/exec/given.ts'
import { type Setting, inProcess, onHost, programTest } from './helpers/exec/host.ts'

const path = '/usr/bin/python3'
const files: Files = { '/': hostDirectory('/', { readOnly: true }), '/tmp': memoryDirectory() }
const env = { PYTHONDONTWRITEBYTECODE: '1', TZ: 'UTC0' }

function pythonTest(title: string, body: (t: ExecutionContext) => Promise<void>): void {
  // Not what else is called python3 on PATH.
  programTest(title, [path, 'python3-minimal'], async (t, program) => {
    if (program === path) return body(t)
    t.log(`skipped: no ${path}`)
    t.pass()
  })
}

/** Programs for `-c`; each writes the same here and there. */
const programs = {
  sum: 'print(6 * 7)',
  version: 'import sys; print(sys.version, sys.argv, sys.flags.isolated, sys.maxsize)',
  exit: 'import sys; sys.stderr.write("lost\\n"); sys.exit(3)',
  traceback: 'def f(n): return 1 // n\ntry: f(0)\nexcept ZeroDivisionError as e: print(e)\nf(0)',
  input: 'import sys\nfor line in sys.stdin: print(len(line), line.strip().upper())',
  recursion: 'def f(n): return f(n + 1)\ntry: f(0)\nexcept RecursionError as e: print(e)',
  numbers:
    'import math, decimal, fractions\nprint(math.factorial(50), math.sin(1), 0.1 + 0.2, 2 ** 300 % 97, decimal.Decimal(2).sqrt(), fractions.Fraction(3, 9))',
  text: 'print("Grüße".encode(), "日本".center(9, "*"), f"{3.14159:.2f}", sorted("hello"), "%r" % "ž")',
  json: 'import json; print(json.dumps(json.loads(\'{"a": [1, 2.5, null, "x"]}\'), indent=1, sort_keys=True))',
  patterns:
    'import re; print(re.sub(r"(\\w+) (\\w+)", r"\\2 \\1", "one two three four"), re.findall(r"\\d+", "a1b22c333"))',
  hashes:
    'import hashlib; print([hashlib.new(n, b"abc").hexdigest() for n in ("md5", "sha1", "sha256", "sha3_256", "blake2b")])',
  packing:
    'import zlib, bz2, lzma, base64, struct\nb = bytes(range(256)) * 40\nprint([len(m.compress(b)) for m in (zlib, bz2, lzma)], zlib.crc32(b), base64.b64encode(struct.pack("<IhQ", 1, -2, 3)))',
  files:
    'import os, tempfile, shutil\nwith tempfile.TemporaryDirectory(dir=".") as d:\n  p = os.path.join(d, "a")\n  open(p, "w").write("x" * 100000)\n  os.link(p, p + "2"); os.symlink("a", p + "3"); os.rename(p, p + "4")\n  print(sorted(os.listdir(d)), os.stat(p + "2").st_nlink, os.path.getsize(p + "4"), os.path.exists(p + "3"))\n  shutil.copytree(d, "copy", symlinks=True)\nprint(sorted((d, sorted(n)) for d, _, n in os.walk("copy"))); shutil.rmtree("copy"); print(os.listdir("."))',
  time: 'import datetime, time\nprint(datetime.datetime.fromtimestamp(1.7e9, datetime.timezone.utc), time.strftime("%c", time.gmtime(0)))\nt = time.monotonic(); time.sleep(0.01); print(time.monotonic() - t >= 0.01)',
  chance:
    'import random; random.seed(21); print([random.randrange(1000) for _ in range(5)], random.gauss(0, 1), len(__import__("os").urandom(9)))',
  signals:
    'import signal, os\nseen = []\nsignal.signal(signal.SIGUSR1, lambda n, f: seen.append(n))\nos.kill(os.getpid(), signal.SIGUSR1); print(seen)\nsignal.setitimer\nos.kill(os.getpid(), signal.SIGTERM); print("never")',
  interrupt:
    'import signal, os\ntry: os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt: print("interrupted")',
  pipes:
    'import os, select\nr, w = os.pipe(); os.write(w, b"through"); p = select.poll(); p.register(r); print(p.poll(1000) == [(r, select.POLLIN)], os.read(r, 100))\nos.close(r)\ntry: os.write(w, b"x")\nexcept BrokenPipeError as e: print(e)',
  sets: 'import os, select, sys\nprint(select.select([], [], [], 0.01), select.select([0], [], []), sys.stdin.read())\nr, w = os.pipe(); print(select.select([r], [w], [r], 1) == ([], [w], [])); os.close(w)\ntry: select.select([w], [], [])\nexcept OSError as e: print(e)',
  mapping:
    'import mmap\nm = mmap.mmap(-1, 8192); m[4096:4101] = b"hello"; print(m.find(b"llo"), len(m)); m.close()',
  database:
    'import sqlite3\nc = sqlite3.connect("a.db"); c.execute("create table t(a, b)"); c.executemany("insert into t values (?, ?)", [(i, str(i)) for i in range(500)]); c.commit()\nprint(c.execute("select count(*), sum(a), max(b) from t").fetchall()); c.close()\nimport os; print(os.path.getsize("a.db")); os.remove("a.db")',
  generators:
    'import asyncio, itertools, collections, functools, heapq, dataclasses, enum, contextlib, pathlib, csv, io, textwrap, uuid, copy, pickle\nasync def f(n): await asyncio.sleep(0); return n\nprint(pickle.loads(pickle.dumps(collections.Counter("hello"))), uuid.uuid5(uuid.NAMESPACE_DNS, "a"), list(itertools.islice(itertools.count(3, 2), 4)))',
  typed:
    'import ctypes, array; print(ctypes.sizeof(ctypes.c_long), array.array("d", [1, 2]).tobytes().hex())',
} as const

for (const [title, program] of Object.entries(programs))
  pythonTest(`Python writes the same here and there: ${title}`, async (t) => {
    using folder = temporary()
    const args = ['-c', program]
    const stdin = 'a line\nanother\n'
    const expected = await onHost(path, args, { cwd: folder.path, env, stdin })
    const { refused: _, ...found } = await inProcess(path, args, { cwd: '/tmp', env, stdin, files })
    t.deepEqual(found, expected)
  })

/** Tests of CPython that are left out, and why: mostly, a process cannot have what they need. */
const leftOut = {
  'test_json.test_tool': 'starts another Python',
  'test_re.*gh94675': 'starts another process, by multiprocessing',
  'test_re.*search_anchor_at_beginning': 'takes less than 0.2 s, unless a host is busy',
  'test_hashlib.*test_threaded_hashing': 'starts threads',
  'test_sqlite3.test_dbapi.MultiprocessTests': 'starts another Python',
  'test_sqlite3.test_dbapi.ThreadTests': 'starts threads',
}

/** Where else a Python of the same version keeps its tests, which Debian leaves out of sqlite3. */
function elsewhere(version: string): string[] {
  const homes = [resolve(userInfo().homedir, '.pyenv/versions'), '/opt/hostedtoolcache/Python']
  return homes
    .filter(existsSync)
    .flatMap((home) => readdirSync(home).map((name) => join(home, name)))
    .flatMap((home) => [home, join(home, 'x64')])
    .map((home) => join(home, 'lib', `python${version}`, 'test'))
    .filter(existsSync)
}

/** Modules and support of CPython's tests in one folder; what is missing there, if something is. */
async function testFolder(
  folder: string,
  version: string,
  module: string,
): Promise<string | undefined> {
  const target = join(folder, 'test')
  const support = `/usr/lib/python${version}/test`
  mkdirSync(target)
  for (const name of ['__init__.py', 'support'])
    if (existsSync(join(support, name)))
      cpSync(join(support, name), join(target, name), { recursive: true })
    else return `skipped: no ${support}/${name}`
  const tree = await debianTree(`libpython${version}-testsuite`)
  const own = join(tree, support)
  for (const from of [own, ...elsewhere(version)])
    for (const name of [module, `${module}.py`, 're_tests.py'])
      if (existsSync(join(from, name)) && !existsSync(join(target, name)))
        cpSync(join(from, name), join(target, name), { recursive: true })
  const isThere = [module, `${module}.py`].some((name) => existsSync(join(target, name)))
  if (isThere) return undefined
  return tree.startsWith('skipped') ? tree : `skipped: Debian's tests are without ${module}`
}

for (const module of ['test_json', 'test_re', 'test_sqlite3', 'test_hashlib'])
  pythonTest(`CPython's own tests end as on the host: ${module}`, async (t) => {
    using folder = temporary()
    const at = folder.path
    const version = await onHost(
      path,
      ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'],
      { cwd: at },
    )
    const reason = await testFolder(at, version.stdout.trim(), module)
    if (reason !== undefined) {
      t.log(reason)
      t.pass()
      return
    }
    const runner = resolve('__test__/fixtures/exec/each-test.py')
    const args = [runner, Object.keys(leftOut).join('|'), `test.${module}`]
    mkdirSync(join(at, 'work'))
    const setting: Setting = { cwd: join(at, 'work'), env: { ...env, PYTHONPATH: at } }
    const expected = await onHost(path, args, setting)
    const own = {
      ...files,
      [at]: hostDirectory(at, { readOnly: true }),
      [setting.cwd]: memoryDirectory(),
      [runner]: hostFile(runner, { readOnly: true }),
    }
    const found = await inProcess(path, args, { ...setting, files: own })
    const lines = (text: string): string[] => text.split('\n')
    t.deepEqual(lines(found.stdout), lines(expected.stdout))
    t.is(found.exitCode, expected.exitCode)
    t.regex(found.stdout, /^ran [1-9]\d+$/m)
  })

pythonTest('what Python cannot have is an error in it, and named', async (t) => {
  const cases = {
    'import threading; threading.Thread(target=print).start()': [
      'clone3',
      /can't start new thread/,
    ],
    'import subprocess; subprocess.run(["/bin/true"])': ['vfork', /Function not implemented/],
    'import os; os.fork()': ['clone', /Function not implemented/],
    'import os; os.execv("/bin/true", ["true"])': ['execve', /Function not implemented/],
    'import socket; socket.create_connection(("127.0.0.1", 1))': ['socket', /PermissionError/],
  } as const
  for (const [program, [call, message]] of Object.entries(cases)) {
    const { exitCode, refused, stderr } = await inProcess(path, ['-c', program], { files, env })
    t.is(exitCode, 1, program)
    t.true((refused[call] ?? 0) > 0, `${program}: ${JSON.stringify(refused)}`)
    t.regex(stderr, message)
  }
})
