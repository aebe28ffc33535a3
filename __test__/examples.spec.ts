// Every example runs and prints what its header says.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { promisify } from 'node:util'

import test from 'ava'

import { kvmTest } from './helpers/kvm.ts'
import { isAs } from './helpers/recipes.ts'

const execute = promisify(execFile)

/** The lines that the header promises. */
function promised(file: string): string {
  const header = readFileSync(file, 'utf8').match(/^(\/\/.*\n)+/)?.[0] ?? ''
  const [, text = ''] = header.split('prints: ')
  return text.replaceAll(/^\/\/ +/gm, '')
}

/** Those that take long get told to do less, as their headers say. */
const less: Record<string, string[]> = { 'fuzz.ts': ['2000'], 'fuzz-parser.ts': ['500'] }

/** Programs of the host that are run, where they are there. */
const needed: Record<string, string[]> = {
  'build-box.ts': ['/usr/bin/as', '/usr/bin/ld', '/lib64'],
  'untrusted-python.ts': ['/usr/bin/python3', '/lib64'],
}

const examples = readdirSync('examples').filter((name) => name.endsWith('.ts'))

test('there are examples', (t) => {
  t.true(examples.length >= 2)
})

for (const name of examples) {
  kvmTest(`examples/${name} prints what it says`, async (t) => {
    const missing = needed[name]?.find((path) => !existsSync(path))
    if (missing !== undefined) {
      t.log(`skipped: no ${missing} here`)
      t.pass()
      return
    }
    const file = `examples/${name}`
    const args = ['--import', '@oxc-node/core/register', file, ...(less[name] ?? [])]
    const { stdout, stderr } = await execute(process.execPath, args, { timeout: 300_000 })
    t.not(promised(file), '')
    if (!isAs(stdout, promised(file))) t.is(stdout, promised(file))
    t.is(stderr, '')
  })
}
