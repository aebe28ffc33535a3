// Fork one machine into ten
//
// prints: 0, 2, 4, 6, 8, 10, 12, 14, 16, 18
import { VirtualMachine, assembleSync } from 'vmexit'

// Prepares, tells port 0x80 that it is ready, and then answers with what it finds at 0x500.
const image = assembleSync(
  `mov ecx, 20000; loop .
   out 0x80, al
   mov al, [0x500]; add al, al; out 0xf4, al`,
  { bits: 64 },
)
using vm = new VirtualMachine({
  mode: 'long',
  memoryBytes: 64 << 20,
  payload: { image },
  routes: [{ port: 0xf4, to: 'stop' }],
})
vm.runSync({ timeoutMs: 10_000 }) // ends at port 0x80, which no route claims
using ready = vm.snapshot()

const runs = Array.from({ length: 10 }, async (_, input) => {
  using fork = new VirtualMachine({ snapshot: ready })
  fork.memory.writeUint8(0x500, input)
  return (await fork.run({ timeoutMs: 10_000 })).exitCode
})
console.log((await Promise.all(runs)).join(', '))
