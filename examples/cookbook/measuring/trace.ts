// Look at each exit in Perfetto
//
// prints: 15 exits, in exits.json
//         the slowest is …: … ns in the guest, … ns in the host
import { VirtualMachine, guests } from 'vmexit'

using vm = new VirtualMachine({
  mode: 'long',
  payload: guests.hello,
  routes: [{ port: 0xe9, to: 'console' }],
})
using trace = vm.trace()
await vm.run({ timeoutMs: 10_000 })

await trace.save('exits.json') // open it in ui.perfetto.dev, or in chrome://tracing
console.log(`${trace.length} exits, in exits.json`)
const [slowest] = Array.from(trace).toSorted((a, b) => b.hostNs - a.hostNs)
const { reason, guestNs, hostNs } = slowest!
console.log(`the slowest is ${reason}: ${guestNs} ns in the guest, ${hostNs} ns in the host`)
