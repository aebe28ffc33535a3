// Plot what an exit costs
//
// prints: constant … µs █…
//         discard  … µs █…
//         device   … µs █…
//         queue    … µs █…
//         coalesce … µs …
//         event    … µs …
import { type Target, VirtualMachine, guests } from 'vmexit'

const [writes, rounds] = [4000, 5]
const targets: Record<string, Target> = {
  constant: { to: 'constant', value: 0 },
  discard: { to: 'discard' },
  device: { device: { write: () => undefined } },
  queue: { to: 'queue', onBatch: () => undefined },
  coalesce: { to: 'coalesce', onBatch: () => undefined },
  event: { to: 'event', onEvent: () => undefined },
}

const costs = new Map<string, number>()
for (const [name, target] of Array(rounds).fill(Object.entries(targets)).flat()) {
  const routes = [{ port: 0x200, ...target }]
  using vm = new VirtualMachine({ mode: 'long', payload: guests.count, routes })
  vm.memory.writeUint32(0x500, writes)
  const us = (vm.runSync({ timeoutMs: 60_000 }).durationMs * 1000) / writes
  costs.set(name, Math.min(us, costs.get(name) ?? Infinity)) // other work of the host only adds
}

const longest = Math.max(...costs.values())
for (const [name, us] of costs) {
  const bar = '█'.repeat(Math.round((us / longest) * 60))
  console.log(`${name.padEnd(9)}${us.toFixed(1).padStart(4)} µs ${bar}`)
}
