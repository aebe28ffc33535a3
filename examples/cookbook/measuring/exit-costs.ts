// Plot what an exit costs
//
// prints: constant … µs █…
//         discard  … µs █…
//         device   … µs █…
//         queue    … µs █…
//         coalesce … µs …
//         event    … µs …
import { type Target, VirtualMachine, guests } from 'vmexit'

const writes = 20_000
const targets: Record<string, Target> = {
  constant: { to: 'constant', value: 0 },
  discard: { to: 'discard' },
  device: { device: { write: () => undefined } },
  queue: { to: 'queue', onBatch: () => undefined },
  coalesce: { to: 'coalesce', onBatch: () => undefined },
  event: { to: 'event', onEvent: () => undefined },
}

const costs = Object.entries(targets).map(([name, target]): [string, number] => {
  const routes = [{ port: 0x200, ...target }]
  using vm = new VirtualMachine({ mode: 'long', payload: guests.count, routes })
  vm.memory.writeUint32(0x500, writes)
  return [name, (vm.runSync({ timeoutMs: 60_000 }).durationMs * 1000) / writes]
})

const longest = Math.max(...costs.map(([, us]) => us))
for (const [name, us] of costs) {
  const bar = '█'.repeat(Math.round((us / longest) * 60))
  console.log(`${name.padEnd(9)}${us.toFixed(1).padStart(4)} µs ${bar}`)
}
