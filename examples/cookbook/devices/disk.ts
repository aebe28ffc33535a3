// Read a disk over HTTP
//
// prints: the guest has read: this is sector 7
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { VirtualMachine, assembleSync } from 'vmexit'

const server = createServer(({ url = '' }, answer) => answer.end(`this is sector ${url.slice(1)}`))
await once(server.listen(0, '127.0.0.1'), 'listening')
const { port } = server.address() as AddressInfo

let bytes = new Uint8Array().values()
const disk = {
  /** Takes the number of a sector. The guest waits until it has come. */
  async write(_offset: number, _size: number, sector: number | bigint): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${port}/${sector}`)
    bytes = new Uint8Array(await response.arrayBuffer()).values()
  },
  read: (): number => bytes.next().value ?? 0,
}

const code = `mov al, 7; out 0x1f, al
              mov edi, 0x8000; mov ecx, 512; mov dx, 0x1f; rep insb; hlt`
const payload = { image: assembleSync(code, { bits: 32 }) }
const routes = [{ port: 0x1f, device: disk }]
using vm = new VirtualMachine({ mode: 'protected', payload, routes })
await vm.run({ timeoutMs: 10_000 })
console.log(`the guest has read: ${Buffer.from(vm.memory.read(0x8000, 16)).toString()}`)
server.close().closeAllConnections()
