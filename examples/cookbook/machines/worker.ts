// Run a machine in a worker thread
//
// prints: the worker counted 1000 writes
import { once } from 'node:events'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { VirtualMachine, guests } from 'vmexit'

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { writes: 1000 } })
  const [message] = await once(worker, 'message')
  console.log(`the worker counted ${message} writes`)
} else {
  using vm = new VirtualMachine({
    mode: 'long',
    payload: guests.count,
    routes: [{ port: 0x200, to: 'count' }],
  })
  vm.memory.writeUint32(0x500, workerData.writes)
  vm.runSync({ timeoutMs: 10_000 }) // blocks this thread only
  parentPort!.postMessage(vm.counters().routes[0]!.writes, [])
}
