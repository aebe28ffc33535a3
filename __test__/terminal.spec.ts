// `vmexit boot` and `vmexit run --serial` on a terminal, a real one as far as the kernel is
// concerned: script(1) opens it.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { echoOne, kernel, powerOff, printOk } from './fixtures/kernels.ts'
import { kvmTest } from './helpers/kvm.ts'

const main = new URL('../dist/cli/main.js', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'vmexit-terminal-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const why = spawnSync('script', ['--version']).error ? 'script (util-linux) not found' : undefined

const declare: typeof kvmTest = (title, body) =>
  why === undefined ? kvmTest(title, body) : test.skip(`${title}: ${why}`, body)

interface Session {
  code: number
  /** What the terminal showed. */
  shown: string
  /** The terminal's settings before and after. */
  settings: [string, string]
}

/** Boots a kernel in a terminal, and calls `whenUp` when it has printed "ok". */
function session(
  name: string,
  listing: string,
  whenUp: (type: (keys: string) => void, pid: number) => void,
  command: 'boot' | 'run --pc --serial' = 'boot',
): Promise<Session> {
  const path = (what: string): string => join(folder, `${name}-${what}`)
  const text = (what: string): string => readFileSync(path(what), 'utf8')
  const line = `'${process.execPath}' '${main}' ${command} '${kernel(name, listing)}' --timeout 300s`
  const script = `
    stty -a > '${path('before')}'
    sh -c "echo \\$\\$ > '${path('pid')}'; exec ${line}"
    echo $? > '${path('code')}'
    stty -a > '${path('after')}'
  `
  const child = spawn('script', ['-qec', script, '/dev/null'])
  let shown = ''
  const isUp = (): boolean => shown.includes('ok')
  child.stdout.on('data', (chunk: Buffer) => {
    const wasUp = isUp()
    shown += chunk.toString('latin1')
    if (isUp() && !wasUp) whenUp((keys) => child.stdin.write(keys), Number(text('pid')))
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', () => {
      const settings: [string, string] = [text('before'), text('after')]
      resolve({ code: Number(text('code')), shown, settings })
    })
  })
}

const spin = 'eb fe ; 1: jmp 1b'

declare('keys go to the guest as they are, Ctrl-C among them', async (t) => {
  // Echoes three bytes; a terminal that is not raw would turn the first into SIGINT and the last
  // into a line feed.
  const keys = '\x03\x04\r'
  const listing = printOk + echoOne + echoOne + echoOne + powerOff
  const { code, shown, settings } = await session('raw', listing, (type) => type(keys))
  t.is(shown, `ok${keys}`)
  t.is(code, 0)
  t.is(settings[1], settings[0])
})

declare('Ctrl-] ends it, and the terminal is as it was', async (t) => {
  const up = (type: (keys: string) => void): void => type('a\x1db')
  const { code, settings } = await session('escape', printOk + spin, up)
  t.is(code, 130)
  t.regex(settings[0], / icanon/)
  t.is(settings[1], settings[0])
})

declare('run --serial has the same terminal', async (t) => {
  const up = (type: (keys: string) => void): void => type('\x03\x1d')
  const { code, shown, settings } = await session(
    'run',
    printOk + echoOne + spin,
    up,
    'run --pc --serial',
  )
  t.is(code, 130)
  t.true(['ok', 'ok\x03'].includes(shown), shown)
  t.is(settings[1], settings[0])
})

declare('a guest that crashes leaves the terminal as it was', async (t) => {
  const listing = `${printOk + echoOne} 0f 0b ; ud2`
  const { code, shown, settings } = await session('crash', listing, (type) => type('x'))
  t.is(code, 3)
  t.regex(shown, /^okxvmexit: the guest shut down/)
  t.is(settings[1], settings[0])
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  declare(`${signal} ends it, and the terminal is as it was`, async (t) => {
    const up = (_type: unknown, pid: number): void => void process.kill(pid, signal)
    const { code, settings } = await session(signal, printOk + spin, up)
    t.is(code, 130)
    t.is(settings[1], settings[0])
  })
}
