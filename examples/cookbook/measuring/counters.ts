// Count exits and accesses
//
// prints: pio-out: 5
//         pio-in: 6
//         hlt: 1
//         6 keys read, 5 letters written, … ms inside KVM_RUN
import { VirtualMachine, guests } from 'vmexit'

const keys = [...Buffer.from('hello\0')]
using vm = new VirtualMachine({
  mode: 'long',
  payload: guests.input, // reads until a 0, and writes what it has read
  routes: [
    { port: 0x60, device: { read: () => keys.shift() ?? 0 } },
    { port: 0xe9, to: 'console' },
  ],
})
vm.runSync({ timeoutMs: 10_000, timeKvmRun: true })

const { exits, routes, kvmRunMs } = vm.counters()
for (const [reason, count] of Object.entries(exits))
  if (count > 0) console.log(`${reason}: ${count}`)
const counts = `${routes[0]?.reads} keys read, ${routes[1]?.writes} letters written`
console.log(`${counts}, ${kvmRunMs.toFixed(2)} ms inside KVM_RUN`)
