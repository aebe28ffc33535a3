// `vmexit/process` as an entry of the package: the same classes as everywhere, and nothing of it
// for who does not import it.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

import test from 'ava'

const execute = promisify(execFile)
const require = createRequire(import.meta.url)
const isBuilt = existsSync(new URL('../dist/process/index.cjs', import.meta.url))
const builtTest = isBuilt ? test : test.skip

/** What a program prints, as JSON. */
async function run(code: string): Promise<unknown> {
  const args = ['--input-type=module', '-e', code]
  const { stdout } = await execute(process.execPath, args, { timeout: 300_000 })
  return JSON.parse(stdout)
}

/** Files of this package that a program has loaded, without their extensions. */
const loaded = `
import { createRequire } from 'node:module'
const { cache } = createRequire(import.meta.url)
const files = Object.keys(cache).flatMap((path) => /\\/dist\\/(.*)\\.cjs$/.exec(path)?.[1] ?? [])
console.log(JSON.stringify(files.sort()))
`

builtTest('programs that import vmexit load nothing of it', async (t) => {
  t.deepEqual(await run(`import 'vmexit'\n${loaded}`), ['index', 'load'])
  // That is what it would look like.
  const both = await run(`import 'vmexit/process'\n${loaded}`)
  t.deepEqual(both, ['index', 'process/index', 'process/load'])
})

builtTest('the bundle of vmexit has no module of it', (t) => {
  const modules = (path: string): string[] =>
    [...readFileSync(new URL(path, import.meta.url), 'utf8').matchAll(/^\/\/ (dist\/.*)$/gm)].map(
      ([, module = '']) => module,
    )
  const own = /^dist\/process\//
  t.true(modules('../dist/process/index.cjs').some((module) => own.test(module)))
  t.deepEqual(
    modules('../dist/index.cjs').filter((module) => own.test(module)),
    [],
  )
})

builtTest('VmError is the same class in every entry, imported and required', async (t) => {
  const code = `
import { createRequire } from 'node:module'
import { VmError } from 'vmexit'
import { listenGdb } from 'vmexit/gdb'
import { GuestFault, GuestTimeout, instantiate } from 'vmexit/process'
const require = createRequire(import.meta.url)
const required = require('vmexit/process')
const thrown = [
  await instantiate(5).catch((error) => error),
  await required.instantiate(5).catch((error) => error),
  await listenGdb(5).catch((error) => error),
]
console.log(JSON.stringify([
  ...thrown.map((error) => error instanceof VmError),
  required.VmError === undefined,
  required.GuestFault === GuestFault,
  GuestFault.prototype instanceof VmError,
  GuestTimeout.prototype instanceof Error,
]))`
  t.deepEqual(await run(code), [true, true, true, true, true, false, true])
  t.is(typeof require('vmexit/process').instantiate, 'function')
})
