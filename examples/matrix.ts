// Small guests as tests, each in every CPU mode: a matrix over child processes of this host, or
// with --redis over every host that has a worker. A job asks for a KVM that runs its mode, so what
// no host can run is told apart from what fails.
//
//   node --import @oxc-node/core/register examples/matrix.ts [--redis redis://HOST]
//
// prints: add    real …
//         shift  real …
//         wraps  real …
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Job, type Result, fleet, folderStore, redisStore } from '@vmexit/fleet'

/** Code that is the same in all modes; it ends with 0 at port 0xf4 if all is well. */
const tests = {
  add: [0xb0, 40, 0x04, 2, 0x2c, 42, 0xe6, 0xf4], // mov al, 40; add al, 2; sub al, 42; out 0xf4, al
  shift: [0xb0, 21, 0xd0, 0xe0, 0x2c, 42, 0xe6, 0xf4], // mov al, 21; shl al, 1; sub al, 42; out
  wraps: [0xb0, 255, 0x04, 1, 0xe6, 0xf4], // mov al, 255; add al, 1; out 0xf4, al
}
const modes = ['real', 'protected', 'paged32', 'long'] as const

const { values } = parseArgs({ options: { redis: { type: 'string' } } })
const folder = mkdtempSync(join(tmpdir(), 'vmexit-matrix-'))
const store = values.redis === undefined ? folderStore(folder) : redisStore(values.redis)

async function* jobs(): AsyncGenerator<Job> {
  for (const [name, code] of Object.entries(tests)) {
    const hash = await store.put(Uint8Array.from(code))
    for (const mode of modes) {
      const routes = [{ port: 0xf4, to: 'stop' as const }]
      const definition = { mode, payload: { file: { hash }, format: 'flat' as const }, routes }
      const needs = { modes: [mode] }
      yield { id: `${name}.${mode}`, definition, needs, limits: { timeoutMs: 5000 } }
    }
  }
}

function verdict({ error, value }: Result): string {
  if (error) return error.code === 'ERR_KVM_CAPABILITY' ? 'no host' : error.code
  const { reason, exitCode } = value as { reason: string; exitCode?: number }
  return reason === 'exit-port' && (exitCode! & 0xff) === 0 ? 'ok' : reason
}

const found = new Map<string, string>()
const options = {
  store,
  cache: join(folder, 'cache'),
  ...(values.redis !== undefined && { connection: values.redis }),
}
for await (const result of fleet.map(jobs(), options)) found.set(result.id, verdict(result))
for (const name of Object.keys(tests)) {
  const row = modes.map((mode) => `${mode} ${found.get(`${name}.${mode}`)}`.padEnd(18))
  console.log(`${name.padEnd(7)}${row.join('')}`.trimEnd())
}
await store.close()
rmSync(folder, { recursive: true })
