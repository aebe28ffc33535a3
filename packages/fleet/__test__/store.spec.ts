// Content by hash: stores, and the cache of a host.
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { VmError } from 'vmexit'

import { folderStore, httpStore, redisStore } from '../src/index.ts'
import { Cache } from '../src/store/cache.ts'
import { hashOf } from '../src/store/store.ts'
import { place } from './helpers/jobs.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The error's code. */
async function codeOf(t: ExecutionContext, promise: Promise<unknown>): Promise<string> {
  const error = await t.throwsAsync(promise, { instanceOf: VmError })
  return error.code
}

/** A server over a folder, which is given each request first; true ends it. */
async function serve(
  t: ExecutionContext,
  folder: string,
  first: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
): Promise<string> {
  const server = createServer((request, response) => {
    if (first(request, response)) return
    const path = join(folder, request.url!.slice(1))
    if (request.method === 'PUT') {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        mkdirSync(folder, { recursive: true })
        writeFileSync(path, Buffer.concat(chunks))
        response.writeHead(201).end()
      })
      return
    }
    if (!existsSync(path)) return void response.writeHead(404).end()
    const content = readFileSync(path)
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200).end(content.subarray(from))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('a folder keeps content by its hash', async (t) => {
  const { folder, store } = place(t)
  const hash = await store.put(bytes('hello'))
  t.is(hash, 'sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824')
  t.is(await store.put(bytes('hello')), hash)
  const file = join(folder, 'file')
  writeFileSync(file, 'world')
  t.is(await store.putFile(file), hashOf(bytes('world')))
  t.is(readdirSync(join(folder, 'store')).length, 2)
  t.is(await codeOf(t, store.open(hashOf(bytes('x')), 0)), 'ERR_PAYLOAD')
  t.is(await codeOf(t, store.open('../file', 0)), 'ERR_INVALID_OPTION')
})

test('content is fetched once, and is what its hash says', async (t) => {
  const { folder, store } = place(t)
  const hash = await store.put(bytes('hello'))
  let opened = 0
  const counting = {
    ...store,
    open: (...given: Parameters<typeof store.open>) => {
      opened += 1
      return store.open(...given)
    },
  }
  const cache = new Cache({ store: counting, folder: join(folder, 'cache') })
  const paths = await Promise.all(Array.from({ length: 8 }, () => cache.path(hash)))
  t.deepEqual(new Set(paths).size, 1)
  t.is(readFileSync(paths[0]!, 'utf8'), 'hello')
  t.is(opened, 1)
  // Another process of this host has it, too.
  await new Cache({ folder: join(folder, 'cache') }).path(hash)
})

test('content that is not what its hash says is refused, and not kept', async (t) => {
  const { folder, store } = place(t)
  const hash = await store.put(bytes('hello'))
  const cache = new Cache({ store, folder: join(folder, 'cache') })
  for (const wrong of ['hell', 'hello!', 'HELLO', '']) {
    writeFileSync(join(folder, 'store', hash), wrong)
    const error = await t.throwsAsync(cache.path(hash), { instanceOf: VmError })
    t.is(error.code, 'ERR_PAYLOAD')
    t.regex(error.message, /what the store has as sha256-2cf2/)
    t.deepEqual(readdirSync(join(folder, 'cache')), [])
  }
  writeFileSync(join(folder, 'store', hash), 'hello')
  t.is(readFileSync(await cache.path(hash), 'utf8'), 'hello')
})

test('what a crash has cut in the cache is fetched again', async (t) => {
  const { folder, store } = place(t)
  const hash = await store.put(bytes('hello'))
  const first = await new Cache({ store, folder: join(folder, 'cache') }).path(hash)
  truncateSync(first, 3)
  const cache = new Cache({ store, folder: join(folder, 'cache') })
  t.is(readFileSync(await cache.path(hash), 'utf8'), 'hello')
  // Also in the process that has verified it.
  truncateSync(first, 2)
  t.is(readFileSync(await cache.path(hash), 'utf8'), 'hello')
})

test('the cache is bounded: what was used least recently goes, what is used stays', async (t) => {
  const { folder, store } = place(t)
  const cacheFolder = join(folder, 'cache')
  const hashes = await Promise.all(
    ['a', 'b', 'c', 'd'].map((letter) => store.put(bytes(letter.repeat(1000)))),
  )
  const [a, b, c, d] = hashes as [string, string, string, string]
  const cache = new Cache({ store, folder: cacheFolder, maxBytes: 2500 })
  const used = (hash: string, second: number): void =>
    utimesSync(join(cacheFolder, hash), second, statSync(join(cacheFolder, hash)).mtime)
  await cache.using([a], async () => {
    await cache.path(b)
    used(a, 1)
    used(b, 2)
    await cache.path(c)
    t.deepEqual(readdirSync(cacheFolder).toSorted(), [a, c].toSorted())
  })
  used(c, 3)
  await cache.path(d)
  t.deepEqual(readdirSync(cacheFolder).toSorted(), [c, d].toSorted())
  const large = await store.put(bytes('e'.repeat(2501)))
  t.is(await codeOf(t, cache.path(large)), 'ERR_LIMIT')
})

test('a web server is a store, also one that breaks off', async (t) => {
  const { folder } = place(t)
  const content = Buffer.alloc(100_000, 'abcdefg')
  const ranges: string[] = []
  let breaks = 3
  const url = await serve(t, join(folder, 'web'), (request, response) => {
    if (request.method !== 'GET' || breaks === 0) return false
    breaks -= 1
    ranges.push(request.headers.range ?? '')
    const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': String(content.length - from) })
    response.write(content.subarray(from, from + 10_000), () => response.destroy())
    return true
  })
  const store = httpStore(url)
  const hash = await store.put(content)
  t.is(hash, hashOf(content))
  const file = join(folder, 'file')
  writeFileSync(file, 'from a file')
  t.is(await store.putFile(file), hashOf(bytes('from a file')))
  const cache = new Cache({ store, folder: join(folder, 'cache') })
  t.deepEqual(readFileSync(await cache.path(hash)), content)
  t.deepEqual(ranges, ['', 'bytes=10000-', 'bytes=20000-'])
  t.is(await codeOf(t, cache.path(hashOf(bytes('absent')))), 'ERR_PAYLOAD')
})

test('a server that knows no ranges begins anew', async (t) => {
  const { folder } = place(t)
  const content = Buffer.alloc(50_000, 'xyz')
  let turns = 0
  const url = await serve(t, folder, (_, response) => {
    turns += 1
    response.writeHead(200, { 'content-length': String(content.length) })
    if (turns === 1) response.write(content.subarray(0, 20_000), () => response.destroy())
    else response.end(content)
    return true
  })
  const cache = new Cache({ store: httpStore(url), folder: join(folder, 'cache') })
  t.deepEqual(readFileSync(await cache.path(hashOf(content))), content)
  t.is(turns, 2)
})

test('a store that cannot be reached is no fault of the content', async (t) => {
  const { folder } = place(t)
  const url = await serve(t, folder, (_, response) => {
    response.writeHead(503).end()
    return true
  })
  const hash = hashOf(bytes('x'))
  for (const store of [httpStore(url), httpStore('http://127.0.0.1:9/')]) {
    const cache = new Cache({ store, folder: join(folder, 'cache') })
    t.is(await codeOf(t, cache.path(hash)), 'ERR_TIMEOUT')
  }
  const none = new Cache({ folder: join(folder, 'cache') })
  t.is(await codeOf(t, none.path(hash)), 'ERR_PAYLOAD')
})

test('a password goes to the server, and into no message', async (t) => {
  const { folder } = place(t)
  const asked: (string | undefined)[] = []
  const url = await serve(t, folder, ({ headers }, response) => {
    asked.push(headers.authorization)
    response.writeHead(404).end()
    return true
  })
  const store = httpStore(url.replace('//', '//me:secret@'))
  const error = await t.throwsAsync(store.open(hashOf(bytes('x')), 0))
  t.deepEqual(asked, [`Basic ${Buffer.from('me:secret').toString('base64')}`])
  t.notRegex(error.message, /secret/)
})

test('stores say what they are not', (t) => {
  t.throws(() => httpStore('ftp://example.org'), { message: /must be an http/ })
  t.throws(() => redisStore('http://example.org'), { message: /must be a redis/ })
  t.notThrows(() => folderStore('/nowhere'))
})
