// Clients of the manager's HTTP API that say anything. Whatever they say, that connection alone suffers from it: the next client is answered, what reaches the machines is of
// the types that it should be, and nothing stays.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as ask } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

import { serveHttp } from '../../../packages/manager/dist/http/server.js'
import { broken, machines } from './machines.mjs'
import { request } from './requests.mjs'

/** It ends what hangs. */
const BOUND_MS = 100_000
/** Between two steps. */
const IDLE_MS = 5000

/** What one client sends, as plain JSON. */
export function generate(random) {
  return {
    requests: random.several(random.pick([1, 1, 1, 2, 3, 20]), () => request(random)),
    // After so many bytes there is a break; 0: none.
    pieceBytes: random.pick([0, 0, 0, 0, 1, 100]),
    reads: !random.oneIn(5),
    ends: random.pick(['destroy', 'end', 'answer']),
  }
}

let serving

/** One server for all steps, as a daemon has. */
async function server() {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-http-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const supervisor = machines()
  const front = await serveHttp({ supervisor, version: '1' }, { path: join(folder, 's') })
  return { front, supervisor }
}

let idle

/** Ends the server when no step comes: nothing else ends this process. */
function endSoon(front) {
  idle = setTimeout(() => {
    serving = undefined
    void front.close()
  }, IDLE_MS)
}

async function misbehave(path, { requests, pieceBytes, reads, ends }) {
  const socket = connect(path).on('error', () => undefined)
  await once(socket, 'connect')
  let heard = ''
  if (reads) socket.on('data', (bytes) => (heard += bytes.toString('latin1')))
  const all = Buffer.from(requests.join(''), 'hex')
  const step = pieceBytes || all.length || 1
  for (let at = 0, count = 0; at < all.length && !socket.destroyed; at += step, count++) {
    const isLast = count === 100
    socket.write(all.subarray(at, isLast ? all.length : at + step))
    if (isLast) break
    if (pieceBytes) await turn()
  }
  const turns = ends === 'answer' ? 20 : 2
  for (let count = 0; count < turns && !socket.destroyed; count++) await turn()
  if (ends === 'end') socket.end()
  await turn()
  socket.destroy()
  return heard
}

/** Whatever was asked, what comes back is HTTP. */
function checkAnswer(heard) {
  if (heard !== '' && !/^HTTP\/1\.1 \d{3} /.test(heard))
    throw new Error(`no HTTP: ${heard.slice(0, 100)}`)
  if (heard.startsWith('HTTP/1.1 500 ')) throw new Error(`an inner failure: ${heard.slice(-300)}`)
}

/** A client as it should be is answered. */
async function look(socketPath) {
  const asked = ask({ socketPath, path: '/v1/version', agent: false, timeout: BOUND_MS }).end()
  asked.once('timeout', () => asked.destroy(new Error(`no answer in ${BOUND_MS} ms`)))
  const [response] = await once(asked, 'response')
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`the next client got ${response.statusCode}`)
}

/** One client that says anything. */
export async function execute(task) {
  // A step may take longer, where the host has no time for it.
  clearTimeout(idle)
  const { front, supervisor } = await (serving ??= server())
  try {
    await meet(task, front, supervisor)
  } finally {
    endSoon(front)
  }
}

async function meet(task, front, supervisor) {
  checkAnswer(await misbehave(front.address, task))
  await look(front.address)
  if (broken.length > 0) throw broken.splice(0)[0]
  const end = performance.now() + BOUND_MS
  for (;;) {
    const {
      httpRequests: _,
      httpFailures: __,
      httpEventStreamsDropped: ___,
      ...held
    } = front.counts()
    const kept = [...Object.entries(held), ['listeners', supervisor.listeners.size]].filter(
      ([, count]) => count > 0,
    )
    if (kept.length === 0) return
    if (performance.now() > end) throw new Error(`it holds ${JSON.stringify(kept)}`)
    await turn()
  }
}
