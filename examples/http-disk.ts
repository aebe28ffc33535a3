// A disk over HTTP: what the guest reads is fetched by range requests, and kept. What it writes
// stays here, as on a disk whose image is on another host.
//
//   node --import @oxc-node/core/register examples/http-disk.ts
//
// prints: the guest read "sector 1000" and "sector 2000" of 1048576 bytes, by 2 range requests
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type DiskDevice, VirtualMachine } from 'vmexit'
import { image, readSectors } from './http-disk/guest.ts'

/** A disk whose bytes a server has, taken in chunks. */
class HttpDisk implements DiskDevice {
  readonly bytes: number
  requests = 0
  readonly #url: string
  readonly #chunkBytes = 64 * 1024
  readonly #chunks = new Map<number, Promise<Uint8Array>>()

  private constructor(url: string, bytes: number) {
    this.#url = url
    this.bytes = bytes
  }

  static async open(url: string): Promise<HttpDisk> {
    const { ok, headers } = await fetch(url, { method: 'HEAD' })
    const bytes = Number(headers.get('content-length'))
    if (!ok || headers.get('accept-ranges') !== 'bytes') throw new Error(`no ranges of ${url}`)
    return new HttpDisk(url, bytes - (bytes % 512))
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length;) {
      const [chunk, skipped] = [await this.#chunk(offset + at), (offset + at) % this.#chunkBytes]
      const part = chunk.subarray(skipped, skipped + into.length - at)
      into.set(part, at)
      at += part.length
    }
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const [chunk, skipped] = [await this.#chunk(offset + at), (offset + at) % this.#chunkBytes]
      const part = bytes.subarray(at, at + chunk.length - skipped)
      chunk.set(part, skipped)
      at += part.length
    }
  }

  /** Several requests of the guest may want the same chunk at once. */
  #chunk(offset: number): Promise<Uint8Array> {
    const number = Math.floor(offset / this.#chunkBytes)
    let chunk = this.#chunks.get(number)
    if (!chunk) {
      chunk = this.#fetch(number * this.#chunkBytes)
      // What has failed is an I/O error in the guest, and fetched again when it asks again.
      chunk.catch(() => this.#chunks.delete(number))
      this.#chunks.set(number, chunk)
    }
    return chunk
  }

  async #fetch(first: number): Promise<Uint8Array> {
    this.requests++
    const end = Math.min(first + this.#chunkBytes, this.bytes)
    const answer = await fetch(this.#url, { headers: { range: `bytes=${first}-${end - 1}` } })
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (answer.status !== 206 || bytes.length !== end - first) throw new Error('no such range')
    return bytes
  }
}

// A server of one image, whose sectors say their number.
const content = Buffer.alloc(1 << 20)
for (let at = 0; at < content.length; at += 512) content.write(`sector ${at / 512}`, at)
const server = createServer(({ headers, method }, answer) => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
  const bytes = first === undefined ? content : content.subarray(Number(first), Number(last) + 1)
  answer.writeHead(first === undefined ? 200 : 206, {
    'accept-ranges': 'bytes',
    'content-length': bytes.length,
  })
  answer.end(method === 'HEAD' ? undefined : bytes)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo

const disk = await HttpDisk.open(`http://127.0.0.1:${port}/disk.img`)
using vm = new VirtualMachine({
  mode: 'protected',
  memoryBytes: 2 ** 24,
  pc: true,
  disks: [{ device: disk }],
  payload: { image },
  routes: [{ port: 0xf4, to: 'stop' }],
})
const said: string[] = []
for (const sector of [1000, 2000, 1001]) {
  const { bytes } = await readSectors(vm, sector, 1)
  said.push(`"${Buffer.from(bytes).toString().replaceAll('\0', '')}"`)
}
server.closeAllConnections()
server.close()
const [one, two] = said
console.log(
  `the guest read ${one} and ${two} of ${disk.bytes} bytes, by ${disk.requests} range requests`,
)
