// What the manager's verbs say of themselves, and of a wrong command line.
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'

import { verbs as listed } from '../../../src/cli/manager.ts'
import { type Ran, vmexit } from '../../../__test__/helpers/cli.ts'
import { handedOver } from '../src/cli/handed-over.ts'
import { table } from '../src/cli/output.ts'
import { tokenIn } from '../src/cli/token.ts'
import { verbs } from '../src/cli/verbs.ts'

const folder = mkdtempSync('/tmp/vmexit-usage-')
test.after.always(() => rmSync(folder, { recursive: true }))

const text = ({ stdout }: Ran): string => stdout.toString()

test('the verbs are those that vmexit lists', (t) => {
  const rows = verbs.map(({ name, summary }) => ({ name, summary }))
  t.deepEqual(rows, listed as typeof rows)
})

test('help VERB is VERB --help, and names every option', async (t) => {
  for (const { name, options } of verbs) {
    const [asked, flagged] = await Promise.all([vmexit(['help', name]), vmexit([name, '--help'])])
    t.deepEqual([asked.code, asked.stderr], [0, ''])
    t.is(text(asked), text(flagged))
    t.true(text(asked).startsWith(`Usage: vmexit ${name}`))
    for (const [option, { short }] of Object.entries(options)) {
      const shown = short === undefined ? `  --${option}` : `  -${short}, --${option}`
      t.true(text(asked).includes(shown), shown)
    }
    const wide = text(asked)
      .split('\n')
      .filter((line) => line.length > 105)
    t.deepEqual(wide, [])
  }
})

test('every verb has --json, but for the terminal', (t) => {
  const without = verbs.filter(({ options }) => !('json' in options)).map(({ name }) => name)
  t.deepEqual(without, ['attach'])
})

const wrong: [args: string, message: RegExp][] = [
  ['ps now', /ps takes no words, got 'now'; see vmexit ps --help$/],
  ['start', /start needs MACHINE; see vmexit start --help$/],
  ['attach a b', /attach takes 1 of them at most, got 'b' too/],
  ['ps --jsno', /unknown option '--jsno'; did you mean --json\? See vmexit ps --help$/],
  ['ps --json=yes', /--json takes no value, got 'yes'/],
  ['ps --socket', /--socket needs a value: --socket FILE/],
  ['ps --socket --json', /--socket needs a value: --socket FILE/],
  ['stop a -t', /-t needs a value: -t SECONDS/],
  ['stop a -t soon', /--time must be seconds, or a time such as 250ms or 2m, got 'soon'/],
  ['events --since yesterday', /--since must be a whole number/],
  ['logs a -f --json', /--follow goes with neither/],
  ['screen a', /screen needs --png FILE/],
  ['screen a --png - --json', /--png - writes the picture to stdout/],
  ['snapshot', /snapshot needs save, list, restore or rm/],
  ['snapshot svae a b', /got 'svae'; did you mean save\?/],
  ['snapshot list a b', /snapshot list takes a machine, got 'b' too/],
  ['snapshot save a', /snapshot save needs MACHINE and the NAME/],
  ['snapshot rm a b --description c', /--description goes with snapshot save/],
  ['daemon --listen 8080', /--listen PORT and --token-file FILE go together/],
  ['daemon --listen 99999 --token-file t', /--listen must be a whole number up to 65535/],
]

test('a wrong command line is exit code 2 and a sentence', async (t) => {
  const place = ['--runtime', join(folder, 'none')]
  const all = await Promise.all(
    wrong.map(([line]) => {
      const args = line.split(' ')
      // Where it is not understood it does not get to a daemon either.
      return vmexit(/socket|listen/.test(line) ? args : [...args, ...place])
    }),
  )
  for (const [at, { code, stderr }] of all.entries()) {
    const [args, message] = wrong[at]!
    t.is(code, 2, `${args}: ${stderr}`)
    t.regex(stderr.trimEnd(), message)
  }
})

test('the failure is in the document, too', async (t) => {
  const { code, stdout } = await vmexit(['start', '--json'])
  t.is(code, 2)
  const { error } = JSON.parse(stdout.toString())
  t.like(error, { code: 'ERR_INVALID_OPTION', message: 'start needs MACHINE' })
})

test('a token is made once, and is read from a file that is its owner’s', (t) => {
  const file = join(folder, 'token')
  const token = tokenIn(file)
  t.regex(token, /^[\w-]{43}$/)
  t.is(statSync(file).mode & 0o777, 0o600)
  t.is(tokenIn(file), token)
  chmodSync(file, 0o640)
  t.throws(() => tokenIn(file), { message: /others may read .*chmod 0600/ })
  chmodSync(file, 0o600)
  for (const bad of ['short', 'with a space in the middle', '']) {
    writeFileSync(file, bad)
    t.throws(() => tokenIn(file), { message: /a token has 16 to 512/ })
  }
  t.throws(() => tokenIn(folder), { message: /no regular file/ })
  t.throws(() => tokenIn('/not/there/token'), { message: /ENOENT/ })
  t.is(readFileSync(file, 'utf8'), '')
})

test('sockets that systemd hands over are taken by name, or in their order', (t) => {
  const pid = String(process.pid)
  const of = (env: NodeJS.ProcessEnv): unknown => handedOver(env)
  t.is(of({}), undefined)
  t.is(of({ LISTEN_PID: '1', LISTEN_FDS: '2' }), undefined)
  t.is(of({ LISTEN_PID: pid, LISTEN_FDS: '0' }), undefined)
  t.deepEqual(of({ LISTEN_PID: pid, LISTEN_FDS: '1' }), { api: 3 })
  t.deepEqual(of({ LISTEN_PID: pid, LISTEN_FDS: '2' }), { api: 3, libvirt: 4 })
  t.deepEqual(of({ LISTEN_PID: pid, LISTEN_FDS: '2', LISTEN_FDNAMES: 'libvirt:api' }), {
    api: 4,
    libvirt: 3,
  })
  t.deepEqual(of({ LISTEN_PID: pid, LISTEN_FDS: '1', LISTEN_FDNAMES: 'libvirt' }), { libvirt: 3 })
  const env = { LISTEN_PID: pid, LISTEN_FDS: '1', LISTEN_FDNAMES: 'a' }
  of(env)
  t.deepEqual(env as object, {})
})

test('columns are as wide as their widest cell', (t) => {
  t.is(
    table(
      ['A', 'B', ''],
      [
        ['one', '2', ''],
        ['x', '', 'y'],
      ],
    ),
    'A    B\none  2\nx       y',
  )
})
