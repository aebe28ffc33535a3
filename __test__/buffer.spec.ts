// What becomes of `vm.memory.buffer` when its machine is closed, or the thread that made it ends:
// in processes of their own, which a fault would kill.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import test from 'ava'

import { serialTest } from './fixtures/serial.ts'

const program = fileURLToPath(
  new URL('../scripts/package/test/programs/buffer.mjs', import.meta.url),
)
const memoryBytes = 64 * 2 ** 20

/** Runs a scenario; what it saw. */
async function run(
  t: ExecutionContext,
  words: readonly string[],
  node = process.execPath,
): Promise<Record<string, unknown>> {
  const child = spawn(node, ['--expose-gc', program, ...words], { timeout: 600_000 })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = await new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stderr }))
  })
  t.deepEqual(ended, { code: 0, signal: null, stderr: '' }, words.join(', '))
  return JSON.parse(stdout) as Record<string, unknown>
}

for (const job of ['randomFill', 'gzip', 'brotliCompress', 'read']) {
  for (const how of ['close()', 'using', 'close() at once']) {
    serialTest(`${how} under ${job} of a view`, async (t) => {
      const { outcome, isClean } = await run(t, ['close under a job', job, how])
      // The job ends as it does without close(), and what it wrote is nowhere else.
      t.deepEqual({ outcome, isClean }, { outcome: true, isClean: true })
    })
  }
}

for (const how of ['idle', 'running']) {
  serialTest(`close() gives the pages of a kept buffer back at once (${how})`, async (t) => {
    t.deepEqual(await run(t, ['close gives pages back', how]), {
      filled: true,
      kept: true,
      length: 256 * 2 ** 20,
      isEmpty: true,
      written: 7,
      code: 'ERR_VM_CLOSED',
    })
  })
}

serialTest('100 closed machines, kept for their counters, leave no mapping', async (t) => {
  t.deepEqual(await run(t, ['many machines']), { left: 0, closed: 100 })
})

serialTest('workers that end with their buffers leave no mapping', async (t) => {
  t.deepEqual(await run(t, ['workers that end']), { left: 0 })
})

serialTest('a worker that posts its buffer posts a copy, or none', async (t) => {
  for (const way of ['post', 'a copy']) {
    const { failures, byteLength, left } = await run(t, ['leave a worker', way, 'open'])
    t.deepEqual(failures, [])
    t.true(byteLength === 2 ** 20 || byteLength === memoryBytes)
    t.is(left, 0)
  }
})

// `ArrayBuffer.prototype.transfer` came with Node.js 22.
const canTransfer = 'transfer' in ArrayBuffer.prototype
const others = [22, 24, 26].map((major) => {
  const path = `../.cache/package/nodes/node_modules/node${major}/bin/node`
  return { name: `Node.js ${major}`, node: fileURLToPath(new URL(path, import.meta.url)) }
})
const able = [
  ...(canTransfer ? [{ name: 'this Node.js', node: process.execPath }] : []),
  ...others.filter(({ node }) => existsSync(node)),
]

if (able.length === 0) {
  test.skip(`buffers that leave their worker: Node.js ${process.version} cannot transfer one, and npm run test:package has fetched no newer one`, (t) =>
    t.pass())
}

for (const { name, node } of able) {
  for (const state of ['open', 'closed', 'running', 'running before']) {
    serialTest(`a worker ends, and its buffer is elsewhere (${state}, ${name})`, async (t) => {
      for (const way of ['transfer', 'transfer and structuredClone', 'transferToImmutable']) {
        for (const rest of [[], ['forgets']]) {
          const words = ['leave a worker', way, state, ...rest]
          t.like(
            await run(t, words, node),
            { failures: [], byteLength: memoryBytes, isEmpty: true, reason: 'timeout' },
            words.join(', '),
          )
        }
      }
    })
  }

  serialTest(`a buffer goes to a worker, which ends (${name})`, async (t) => {
    t.deepEqual(await run(t, ['enter a worker'], node), { left: 0 })
  })
}
