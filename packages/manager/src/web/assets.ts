import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { HttpError, type Reply, replyOf } from '../http/answer.ts'

/** Beside this file when it is compiled, and where it is compiled to when it is not. */
const folder = fileURLToPath(new URL('../../dist/page/', import.meta.url))

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** The page's files: those that are there at the start, and no others. */
export class Assets {
  readonly #paths = new Map<string, string>()
  readonly #kept = new Map<string, { readonly reply: Reply; readonly etag: string }>()

  /** Looks which there are. */
  constructor() {
    if (!existsSync(folder)) return
    for (const found of readdirSync(folder, { recursive: true })) {
      const path = join(folder, String(found))
      if (statSync(path).isFile()) this.#paths.set(`/${found}`, path)
    }
  }

  /** The file of a path, which is asked for by GET; throws if there is none. */
  reply(path: string, known: string | undefined): Reply {
    const name = path === '/' ? '/index.html' : path
    const { reply, etag } = this.#kept.get(name) ?? this.#read(name)
    if (known !== etag) return reply
    const { 'content-length': _, ...headers } = reply.headers
    return { status: 304, headers, body: new Uint8Array() }
  }

  #read(name: string): { readonly reply: Reply; readonly etag: string } {
    const path = this.#paths.get(name)
    if (path === undefined)
      throw new HttpError(404, 'ERR_NOT_FOUND', 'there is no such file of the page')
    const body = readFileSync(path)
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
    const type = types[extname(path)] ?? 'text/plain; charset=utf-8'
    const { headers } = replyOf(200, type, body)
    // Asked for again each time, and sent again only if it is another one.
    const reply = { status: 200, headers: { ...headers, 'cache-control': 'no-cache', etag }, body }
    const kept = { reply, etag }
    this.#kept.set(name, kept)
    return kept
  }
}
