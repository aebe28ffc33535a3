// Run 100 machines with a progress bar
//
// prints: [##################################################] 100
//         100 different results
import { availableParallelism } from 'node:os'
import { VirtualMachine, guests } from 'vmexit'

const jobs = Array.from({ length: 100 }, (_, index) => index)
const results: bigint[] = []

async function work(): Promise<void> {
  for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) {
    using vm = new VirtualMachine({ mode: 'long', payload: guests.compute })
    vm.memory.writeUint32(0x500, job)
    const { registers } = await vm.run({ timeoutMs: 10_000 })
    results.push(registers.rax)
    const done = '#'.repeat(results.length / 2).padEnd(50)
    process.stdout.write(`\r[${done}] ${results.length}`)
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, work))
console.log(`\n${new Set(results).size} different results`)
