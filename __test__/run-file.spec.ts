// `vmexit run --file`: a machine from a JSON document, with flags over it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import test from 'ava'

import { echoOne, kernel, powerOff, printOk } from './fixtures/kernels.ts'
import { main, vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code } from './helpers/machine.ts'

// What a URL writes otherwise.
const folder = mkdtempSync(join(tmpdir(), 'vmexit run #%20-'))
test.after.always(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const define = (name: string, definition: unknown): string => file(name, JSON.stringify(definition))

const limit = ['--timeout', '300s']

file('exit7.bin', code('b0 2a e6 e9 b0 07 e6 f4 ; mov $42,%al; out $0xe9; mov $7,%al; out $0xf4'))
const machine = {
  mode: 'long',
  payload: { file: 'exit7.bin' },
  routes: [
    { port: '0xe9', to: 'console' },
    { port: '0xf4', to: 'stop' },
  ],
}
const exit7 = define('exit7.json', machine)

kvmTest('a definition runs from any folder: its paths are relative to it', async (t) => {
  const ran = await vmexit(['run', '--file', exit7, ...limit])
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [7, '*', ''])
})

kvmTest('flags and a file that say the same are the same machine', async (t) => {
  const ports = ['--port', '0xe9=console', '--port', '0xf4=stop']
  const image = join(folder, 'exit7.bin')
  const [[one, flags], [two, defined]] = await Promise.all([
    vmexitJson(['run', image, '--mode', 'long', ...ports, ...limit]),
    vmexitJson(['run', '--file', exit7, ...limit]),
  ])
  t.deepEqual([one, two], [7, 7])
  t.deepEqual({ ...defined, durationMs: 0 }, { ...flags, durationMs: 0 })
})

kvmTest('flags replace keys, and each --port adds a route', async (t) => {
  //  in al, 0x60; out 0xf4, al
  file('read.bin', code('e4 60 e6 f4 ; in $0x60,%al; out %al,$0xf4'))
  const routes = [{ port: '0xf4', to: 'stop' }]
  const read = define('read.json', { mode: 'long', payload: { file: 'read.bin' }, routes })
  const args = ['run', '--file', read, '--mode', 'real', '--memory', '1M', '--load', '0x7c00']
  const [exit, document] = await vmexitJson([...args, '--port', '0x60=constant:9', ...limit])
  t.is(exit, 9)
  t.like(document.loaded, { mode: 'real', entryGpa: 0x7c00 })
  t.is((await vmexit(['run', '--file', read, '--cpus', '2', ...limit])).code, 3)
})

kvmTest('an image takes the place of the payload, from stdin too', async (t) => {
  const guest = define('guest.json', { ...machine, payload: { guest: 'spin' } })
  const image = file('five.bin', code('b0 05 e6 f4 ; mov $5,%al; out %al,$0xf4'))
  t.is((await vmexit(['run', image, '--file', guest, ...limit])).code, 5)
  const input = code('b0 06 e6 f4 ; mov $6,%al; out %al,$0xf4')
  t.is((await vmexit(['run', '-', '--file', exit7, ...limit], { input })).code, 6)
  const serial = define('serial.json', { ...machine, serial: true })
  const both = await vmexit(['run', '-', '--file', serial], { input })
  t.is(both.code, 2)
  t.regex(both.stderr, /stdin cannot be the image \(-\) and the serial port/)
})

kvmTest('serial: true is the terminal, pc: true alone shows what COM1 is sent', async (t) => {
  const echo = kernel('file-echo', printOk + echoOne + powerOff)
  const pc = { pc: true, memoryBytes: '0x1000000' }
  const typed = define('typed.json', { ...pc, serial: true, payload: { file: echo } })
  const ran = await vmexit(['run', '--file', typed, ...limit], { input: 'x' })
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [0, 'okx', ''])
  const print = kernel('file-print', printOk + powerOff)
  const shown = define('shown.json', { ...pc, payload: { file: print } })
  const [exit, { output }] = await vmexitJson(['run', '--file', shown, ...limit])
  t.deepEqual([exit, output], [0, 'ok'])
  const small = define('small.json', { payload: { file: print } })
  t.is((await vmexit(['run', '--file', small, '--pc', ...limit])).code, 0)
})

kvmTest('a module may import vmexit: it is the one that runs the machine', async (t) => {
  // Inside the package, so that its own name leads to dist/.
  mkdirSync('.cache', { recursive: true })
  const inside = mkdtempSync(resolve('.cache/run-file-'))
  t.teardown(() => rmSync(inside, { recursive: true }))
  writeFileSync(
    join(inside, 'module.mjs'),
    `import { guests } from 'vmexit'
    export default async ({ name }) => {
      const keys = [...Buffer.from(name + '\\0')]
      return {
        payload: guests.input,
        routes: [
          { port: 0x60, device: { read: async () => keys.shift() } },
          { port: 0xe9, to: 'console' },
        ],
      }
    }`,
  )
  const definition = { name: 'hi', mode: 'long', payload: { guest: 'spin' }, module: 'module.mjs' }
  writeFileSync(join(inside, 'machine.json'), JSON.stringify(definition))
  const ran = await vmexit(['run', '--file', join(inside, 'machine.json'), ...limit])
  t.deepEqual([ran.code, ran.stdout.toString(), ran.stderr], [0, 'hi', ''])
})

kvmTest('a module that fails is exit code 1, and its path may be strange', async (t) => {
  file('fails.mjs', `export default () => { throw new Error('mine') }`)
  const failing = define('fails.json', { ...machine, module: 'fails.mjs' })
  const { code: exit, stderr } = await vmexit(['run', '--file', failing])
  t.is(exit, 1)
  const place = join(folder, 'fails.mjs')
  t.is(stderr, `vmexit: ERR_HANDLER: ${failing}: module '${place}' failed: mine\n`)
})

kvmTest('of a key that is given twice the last counts, as JSON has it', async (t) => {
  const twice = file('twice.json', JSON.stringify(machine).replace('{', '{"mode":"real",'))
  const [exit, { loaded }] = await vmexitJson(['run', '--file', twice, ...limit])
  t.deepEqual([exit, loaded.mode], [7, 'long'])
  const marked = file('marked.json', `\uFEFF${JSON.stringify(machine)}`)
  t.is((await vmexit(['run', '--file', marked, ...limit])).code, 7)
})

const refused: [name: string, content: string | Uint8Array | object, message: string][] = [
  ['key', { ...machine, mdoe: 'long' }, '%: mdoe is no known key; did you mean mode? See'],
  ['payload', { mode: 'long' }, '%: payload must be an object, got undefined; see'],
  ['null', 'null', '%: the definition must be an object, got null; see'],
  ['array', '[]', '%: the definition must be an object, got an array of 0; see'],
  ['proto', '{"__proto__": {"mode": "long"}}', '%: __proto__ is no known key'],
  ['absent', { payload: { file: 'nothing' } }, '%: cannot read payload.file: ENOENT'],
  ['routes', { ...machine, routes: 5 }, '%: routes must be an array, got 5; see'],
  ['zero', { payload: { file: '/dev/zero' } }, "'/dev/zero' is no regular file; see"],
  ['flat', { payload: { file: 'exit7.bin' } }, '%: mode must be given for a flat image'],
  ['text', 'mode = long', "cannot read the definition '%': Unexpected token"],
  ['nothing', '', "cannot read the definition '%': Unexpected end of JSON input"],
  ['bytes', Uint8Array.of(0x22, 0xff, 0x22), "cannot read the definition '%': The encoded data"],
  ['deep', '['.repeat(100_000), "cannot read the definition '%': "],
  [
    'twice',
    { ...machine, routes: [...machine.routes, machine.routes[1]] },
    '%: routes[2] (port 0xf4) overlaps routes[1] (port 0xf4); see',
  ],
]

kvmTest('what a definition must not say is named as it says it', async (t) => {
  const all = refused.map(async ([name, content, message]) => {
    const isText = typeof content === 'string' || content instanceof Uint8Array
    const path = file(`refused-${name}.json`, isText ? content : JSON.stringify(content))
    const ran = await vmexit(['run', '--file', path])
    return { ...ran, message: message.replaceAll('%', path) }
  })
  for (const { code: exit, stdout, stderr, message } of await Promise.all(all)) {
    t.deepEqual([exit, stdout.length], [2, 0], stderr)
    t.true(stderr.includes(message), `${stderr}: ${message}`)
    t.is(stderr.trimEnd().split('\n').length, 1)
  }
  const [, { error }] = await vmexitJson(['run', '--file', join(folder, 'refused-absent.json')])
  t.like(error, { code: 'ERR_PAYLOAD', errno: 2, call: 'stat' })
})

kvmTest('what a flag says over a file is named as a flag', async (t) => {
  const cases: [flags: string, message: string][] = [
    ['--memory 5000', '--memory must be a positive multiple of 4096, got 5000; see'],
    ['--port 1=count --port 0xf4=count', '--port 0xf4=count (port 0xf4) overlaps routes[1] (port'],
    ['--port 0x1ffff=stop', '--port 0x1ffff=stop must be a whole number'],
    ['--load 0x300000', 'raise memoryBytes or move --load'],
    ['--mode logn', '--mode must be one of real, protected, paged32, long'],
  ]
  for (const [flags, message] of cases) {
    const { code: exit, stderr } = await vmexit(['run', '--file', exit7, ...flags.split(' ')])
    t.is(exit, 2)
    t.true(stderr.includes(message), stderr)
  }
})

test('a file that is none, or far too long, is not read', async (t) => {
  const pipe = join(folder, 'pipe')
  spawnSync('mkfifo', [pipe])
  truncateSync(file('long.json', ''), 1 << 30)
  const cases: [path: string, message: RegExp][] = [
    [join(folder, 'nowhere.json'), /cannot read the definition '.*': ENOENT/],
    [folder, /cannot read the definition '.*': it is no regular file/],
    ['/dev/zero', /cannot read the definition '\/dev\/zero': it is no regular file/],
    [pipe, /cannot read the definition '.*': (it is no regular file|ENOENT)/],
    [join(folder, 'long.json'), /it has 1073741824 bytes, of which 1048576 are allowed/],
  ]
  for (const [path, message] of cases) {
    const { code: exit, stderr } = await vmexit(['run', '--file', path])
    t.is(exit, 2, stderr)
    t.regex(stderr, message)
  }
  const neither = await vmexit(['run', '--mode', 'long'])
  t.regex(neither.stderr, /run needs the path of an image, or - for stdin/)
})

kvmTest('an image on the command line may still be a pipe', (t) => {
  const args = '--mode long --port 0xf4=stop --port 0xe9=discard'
  const script = `cat "$1" | "$0" '${main}' run /proc/self/fd/0 ${args}`
  const { status } = spawnSync('sh', ['-c', script, process.execPath, join(folder, 'exit7.bin')])
  t.is(status, 7)
})
