// Clients of libvirt's protocol that say anything: calls with random arguments, messages that are changed anywhere, bytes. Whatever they say, the next client is answered,
// and nothing of them stays. The messages are those of the manager's tests, which are TypeScript.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import '@oxc-node/core/register'
import { sendInPieces } from '../wire/pieces.mjs'

const manager = '../../../packages/manager'
const { session } = await import(`${manager}/__test__/helpers/libvirt-random.ts`)
const { MemorySupervisor } = await import(`${manager}/__test__/fixtures/supervisor.ts`)
const { LibvirtClient } = await import(`${manager}/__test__/helpers/libvirt-client.ts`)
const { serveLibvirt } = await import(`${manager}/src/libvirt/server.ts`)
const { procedures } = await import(`${manager}/src/libvirt/xdr/procedures.ts`)

const BOUND_MS = 10_000

/** What one client sends, as plain JSON. */
export function generate(random) {
  const messages = session(random, random.pick([1, 5, 20, 100]))
  return {
    messages: messages.map((message) => message.toString('hex')),
    // After so many bytes there is a break; 0: none.
    pieceBytes: random.pick([0, 0, 0, 0, 1, 30, 1000]),
    reads: !random.oneIn(5),
    ends: random.pick(['destroy', 'end']),
  }
}

/** A server with three machines. */
async function start(folder) {
  const supervisor = new MemorySupervisor()
  for (const [at, name] of ['one', 'two', 'three'].entries()) {
    const uuid = `0000000${at}-0000-4000-8000-000000000000`
    await supervisor.define({ name, memoryBytes: 2 ** 21 }, { uuid })
  }
  const limits = { stallMs: 1000, streamStallMs: 500 }
  const server = await serveLibvirt(
    { supervisor, version: '0.1.0', limits },
    { path: join(folder, 's') },
  )
  return { supervisor, server }
}

async function misbehave(path, { messages, pieceBytes, reads, ends }) {
  const socket = connect(path).on('error', () => undefined)
  await once(socket, 'connect')
  if (reads) socket.resume()
  const all = Buffer.from(messages.join(''), 'hex')
  await sendInPieces(socket, all, { pieceBytes, ends, lingerMs: 2 })
}

/** A client as it should be is answered. */
async function look(path) {
  const client = await LibvirtClient.open(path)
  const timer = setTimeout(() => client[Symbol.dispose](), BOUND_MS)
  try {
    await client.call(procedures.connectListAllDomains, { need_results: 1, flags: 0 })
  } finally {
    clearTimeout(timer)
    client[Symbol.dispose]()
  }
}

/** One client that says anything; throws when the next one is not served, or what it held is not given back. */
export async function execute(task) {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-libvirt-'))
  const { supervisor, server } = await start(folder)
  const held = () => {
    const { clients, partialBytes } = server.counts()
    return { clients, partialBytes, consoles: supervisor.consoles.size }
  }
  try {
    await misbehave(server.address, task)
    await look(server.address)
    const end = performance.now() + BOUND_MS
    while (Object.values(held()).some((count) => count > 0)) {
      if (performance.now() > end) throw new Error(`it holds ${JSON.stringify(held())}`)
      await sleep(1)
    }
  } finally {
    await server.close()
    rmSync(folder, { recursive: true })
  }
  if (supervisor.listeners > 0) throw new Error('it listens after its end')
}
