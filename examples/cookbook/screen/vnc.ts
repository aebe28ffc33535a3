// Show a screen to VNC viewers
//
// prints: vncviewer 127.0.0.1:…, password secret
//         who connects is greeted by RFB 003.008
import { once } from 'node:events'
import { connect } from 'node:net'
import { VirtualMachine, assembleSync } from 'vmexit'

const code = `mov ax, 0xb800; mov es, ax; xor di, di; mov si, offset text; mov cx, 5; mov ah, 0x1f
              next: lodsb; stosw; loop next; sleep: hlt; jmp sleep
              text: .ascii "Hello"`
using vm = new VirtualMachine({
  mode: 'real',
  pc: true,
  screen: 'text',
  payload: { image: assembleSync(code, { bits: 16, origin: 0x7c00 }), loadGpa: 0x7c00 },
})
await using server = await vm.screen!.listen({ port: 0, password: 'secret' })
console.log(`vncviewer ${server.address}, password secret`)
void vm.run()

// A viewer begins like this. For a real one, `await` the run instead of what follows.
await vm.screen!.waitFor('Hello')
const [host, port] = server.address.split(':')
const viewer = connect(Number(port), host)
const [greeting] = await once(viewer, 'data')
console.log(`who connects is greeted by ${String(greeting).trim()}`)
viewer.destroy()
